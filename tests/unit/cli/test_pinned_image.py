import json
import socket
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer
from threading import Thread

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from tests.unit.image.commands import IMAGE_ID

from hakoiri.cli import pinned_image
from hakoiri.cli.pinned_image import EngineSilentError, trusted_image
from hakoiri.cli.workspace_image import image_reference
from hakoiri.host.container_settings import ContainerSettings
from hakoiri.host.settings import Settings
from hakoiri.image.errors import ImageBuildError
from hakoiri.image.signature import (
    SignatureRefusedError,
    directory_of,
    sign_image,
    write_signed,
)

KEY = Ed25519PrivateKey.generate()
TAG = "a:1"


class SmallEngine(UnixStreamServer):
    """An engine that knows what its names mean, and remembers what it was asked."""

    def __init__(self, path: Path) -> None:
        """Listen; `images` are ids by name."""
        self.images: dict[str, object] = {TAG: IMAGE_ID}
        self.status = HTTPStatus.OK
        self.asked: list[str] = []
        super().__init__(str(path), SmallEngineCall)


class SmallEngineCall(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, SmallEngine)
        self.server.asked.append(self.path)
        name = self.path.removeprefix("/images/").removesuffix("/json")
        found = self.server.images.get(name)
        status = self.server.status if found else HTTPStatus.NOT_FOUND
        content = json.dumps({"Id": found, "message": "planted"}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[SmallEngine]:
    with SmallEngine(tmp_path / "e.sock") as engine:
        thread = Thread(target=engine.serve_forever)
        thread.start()
        yield engine
        engine.shutdown()
        thread.join()


@pytest.fixture
def unsigned(tmp_path: Path, engine: SmallEngine) -> Settings:
    return Settings(
        docker_host=f"unix://{engine.server_address}",
        container=ContainerSettings(image=TAG, image_signatures=tmp_path / "signatures"),
    )


@pytest.fixture
def settings(tmp_path: Path, unsigned: Settings) -> Settings:
    public = tmp_path / "image.pub"
    public.write_bytes(
        KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    signed = unsigned.container.model_copy(update={"image_public_key": public})
    return unsigned.model_copy(update={"container": signed})


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


def test_without_a_key_too_an_image_is_run_by_its_id_and_not_by_its_tag(
    unsigned: Settings, engine: SmallEngine
) -> None:
    assert image_reference(unsigned) == TAG
    assert trusted_image(unsigned) == IMAGE_ID
    assert engine.asked == [f"/images/{TAG}/json"]


def test_an_image_that_is_not_there_is_told_with_the_mend(
    unsigned: Settings, engine: SmallEngine
) -> None:
    engine.images.clear()
    with pytest.raises(ImageBuildError, match="has no image a:1; `hakoiri image build`") as told:
        trusted_image(unsigned)
    assert not isinstance(told.value, EngineSilentError), "another start will not help"


@pytest.mark.parametrize("found", ["a:1", "ab" * 32, ["sha256:" + "ab" * 32]])
def test_an_id_that_is_none_is_not_taken(
    unsigned: Settings, engine: SmallEngine, found: object
) -> None:
    engine.images[TAG] = found
    with pytest.raises(ImageBuildError, match="cannot be used"):
        trusted_image(unsigned)


def test_an_engine_that_cannot_say_yet_may_be_asked_again(
    unsigned: Settings, engine: SmallEngine, tmp_path: Path
) -> None:
    engine.status = HTTPStatus.INTERNAL_SERVER_ERROR
    with pytest.raises(EngineSilentError, match="planted"):
        trusted_image(unsigned)
    engine.status = HTTPStatus.BAD_REQUEST
    with pytest.raises(ImageBuildError, match="planted") as told:
        trusted_image(unsigned)
    assert not isinstance(told.value, EngineSilentError)
    away = unsigned.model_copy(update={"docker_host": f"unix://{tmp_path}/none.sock"})
    with pytest.raises(EngineSilentError, match=r"none\.sock does not answer"):
        trusted_image(away)


def test_an_engine_that_says_nothing_is_not_waited_for_without_end(
    unsigned: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pinned_image, "ASK_TIMEOUT_S", 0.0)
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(tmp_path / "mute.sock"))
        mute.listen()
        to_mute = unsigned.model_copy(update={"docker_host": f"unix://{tmp_path}/mute.sock"})
        with pytest.raises(EngineSilentError, match="did not answer"):
            trusted_image(to_mute)


def test_an_id_is_held_against_its_signature_without_an_engine(
    settings: Settings, engine: SmallEngine
) -> None:
    named = settings.container.model_copy(update={"image": IMAGE_ID})
    by_id = settings.model_copy(update={"container": named})
    with pytest.raises(SignatureRefusedError, match="not signed here"):
        trusted_image(by_id)
    sign(settings, IMAGE_ID)
    assert trusted_image(by_id) == IMAGE_ID
    assert engine.asked == []
