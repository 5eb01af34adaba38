import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from hakoiri.image.errors import ImageBuildError
from hakoiri.image.signature import (
    BILL_NAME,
    SIGNATURE_NAME,
    SignatureRefusedError,
    SignedImage,
    directory_of,
    read_signed,
    sign_image,
    verify_image,
    write_signed,
)

IMAGE = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32
BILL = b'{"bomFormat": "CycloneDX"}'
KEY = Ed25519PrivateKey.generate()


def private_pem(key: Ed25519PrivateKey = KEY) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(key: Ed25519PrivateKey = KEY) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def signed() -> SignedImage:
    return sign_image(image_id=IMAGE, bill=BILL, private_key=private_pem())


def test_what_was_signed_is_verified_also_from_files(signed: SignedImage, tmp_path: Path) -> None:
    directory = directory_of(tmp_path, IMAGE)
    write_signed(signed, directory)
    write_signed(signed, directory)
    verify_image(read_signed(directory), image_id=IMAGE, public_key=public_pem())


def test_the_signature_is_plain_ed25519_of_the_statement(signed: SignedImage) -> None:
    KEY.public_key().verify(base64.b64decode(signed.signature), signed.statement)


def test_another_image_another_bill_another_statement_and_another_key_are_refused(
    signed: SignedImage,
) -> None:
    def refused(image: SignedImage, match: str, *, image_id: str = IMAGE, pem: bytes = b"") -> None:
        with pytest.raises(SignatureRefusedError, match=match):
            verify_image(image, image_id=image_id, public_key=pem or public_pem())

    refused(signed, "is of another image", image_id=OTHER)
    bill = BILL.replace(b"Cyclone", b"Cyclops")
    refused(SignedImage(signed.statement, signed.signature, bill), "not the bill of materials")
    statement = signed.statement.replace(b"ab" * 32, b"cd" * 32)
    refused(SignedImage(statement, signed.signature, BILL), "not the key's signature")
    refused(signed, "not the key's signature", pem=public_pem(Ed25519PrivateKey.generate()))
    refused(SignedImage(signed.statement, b"not base64!", BILL), "not the key's signature")
    refused(SignedImage(signed.statement, b"", BILL), "not the key's signature")
    refused(signed, "public key cannot be used", pem=b"nothing")


def test_a_statement_of_another_kind_that_the_key_signed_is_refused() -> None:
    statement = f'{{"image": "{IMAGE}"}}'.encode()
    signature = base64.b64encode(KEY.sign(statement))
    with pytest.raises(SignatureRefusedError):
        verify_image(
            SignedImage(statement, signature, BILL), image_id=IMAGE, public_key=public_pem()
        )


def test_other_kinds_of_keys_are_refused_with_the_mend(signed: SignedImage) -> None:
    curve = generate_private_key(SECP256R1())
    pem = curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(ImageBuildError, match="openssl genpkey -algorithm ed25519"):
        sign_image(image_id=IMAGE, bill=BILL, private_key=pem)
    with pytest.raises(ImageBuildError, match="private key cannot be used"):
        sign_image(image_id=IMAGE, bill=BILL, private_key=b"nothing")
    public = curve.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(SignatureRefusedError, match="not of Ed25519"):
        verify_image(signed, image_id=IMAGE, public_key=public)


@pytest.mark.parametrize("missing", [SIGNATURE_NAME, BILL_NAME])
def test_an_image_without_all_its_files_is_not_signed(
    signed: SignedImage, tmp_path: Path, missing: str
) -> None:
    write_signed(signed, tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(SignatureRefusedError, match=f"not signed here.*{missing}"):
        read_signed(tmp_path)
