from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from tests.unit.image.commands import IMAGE_ID, Commands, add_engine

from hakoiri.cli.workspace_image import read_public_key, trusted_image
from hakoiri.host.settings import ContainerSettings, Settings
from hakoiri.image.signature import (
    SignatureRefusedError,
    directory_of,
    sign_image,
    write_signed,
)

KEY = Ed25519PrivateKey.generate()
TAG = "a:1"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    add_engine(Commands(tmp_path, monkeypatch), images=tmp_path / "images", root_directory=tmp_path)
    (tmp_path / "images" / TAG).touch()
    public = tmp_path / "image.pub"
    public.write_bytes(
        KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return Settings(
        container=ContainerSettings(
            image=TAG, image_public_key=public, image_signatures=tmp_path / "signatures"
        )
    )


def sign(settings: Settings, image_id: str) -> None:
    pem = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    signed = sign_image(image_id=image_id, bill=b"{}", private_key=pem)
    write_signed(signed, directory_of(settings.container.image_signatures, IMAGE_ID))


def test_a_signed_image_is_run_by_its_id_and_not_by_its_tag(settings: Settings) -> None:
    sign(settings, IMAGE_ID)
    assert trusted_image(settings) == IMAGE_ID


def test_with_a_key_an_unsigned_image_is_refused_and_the_setting_named(settings: Settings) -> None:
    with pytest.raises(SignatureRefusedError, match=r"IMAGE_PUBLIC_KEY: .*not signed here"):
        trusted_image(settings)


def test_with_a_key_the_signature_of_another_image_is_refused(settings: Settings) -> None:
    sign(settings, "sha256:" + "cd" * 32)
    with pytest.raises(SignatureRefusedError, match="is of another image"):
        trusted_image(settings)


def test_without_a_key_the_image_is_the_one_that_is_set() -> None:
    assert trusted_image(Settings(container=ContainerSettings(image=TAG))) == TAG


def test_a_key_that_others_can_write_is_no_key(tmp_path: Path) -> None:
    path = tmp_path / "image.pub"
    path.write_bytes(b"key")
    assert read_public_key(path) == b"key"
    path.chmod(0o664)
    with pytest.raises(SignatureRefusedError, match="others can write it"):
        read_public_key(path)
    with pytest.raises(SignatureRefusedError, match="No such file"):
        read_public_key(tmp_path / "none")


def test_an_id_is_held_against_its_signature_without_an_engine(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    named = settings.container.model_copy(update={"image": IMAGE_ID})
    by_id = settings.model_copy(update={"container": named})
    with pytest.raises(SignatureRefusedError, match="not signed here"):
        trusted_image(by_id)
    sign(settings, IMAGE_ID)
    assert trusted_image(by_id) == IMAGE_ID
