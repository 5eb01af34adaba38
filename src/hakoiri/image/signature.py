"""A detached signature over an image: which image it is, and what it is made of.

Three files: `statement.json` names image id and bill of materials by hash, `statement.json.sig` is
its Ed25519 signature (RFC 8032) in base64, `sbom.cdx.json` the bill. The first two are in the form
that `cosign verify-blob --key` takes.
"""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_pem_public_key,
)

from hakoiri.image.errors import ImageBuildError

STATEMENT_NAME: Final = "statement.json"
SIGNATURE_NAME: Final = "statement.json.sig"
BILL_NAME: Final = "sbom.cdx.json"
FILE_LIMIT_BYTES: Final = 32 * 1024 * 1024
_TYPE: Final = "hakoiri-image"
_VERSION: Final = 1


class SignatureRefusedError(ImageBuildError):
    """The image is not the one that was signed, or nobody trusted signed it."""


@dataclass(frozen=True, slots=True)
class SignedImage:
    """The three files' contents."""

    statement: bytes
    signature: bytes
    bill: bytes


def sign_image(*, image_id: str, bill: bytes, private_key: bytes) -> SignedImage:
    """Sign `image_id` (`sha256:…`) and its bill with a PEM private key.

    Raises:
        ImageBuildError: the key is none of Ed25519, or needs a password.
    """
    try:
        key = load_pem_private_key(private_key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ImageBuildError(f"the private key cannot be used: {_first_line(error)}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ImageBuildError(
            "the private key is not of Ed25519; make one with `openssl genpkey -algorithm ed25519`"
        )
    statement = _statement(image_id, bill)
    signature = base64.b64encode(key.sign(statement)) + b"\n"
    return SignedImage(statement=statement, signature=signature, bill=bill)


def verify_image(signed: SignedImage, *, image_id: str, public_key: bytes) -> None:
    """Check that the holder of the PEM public key's other half signed this image and this bill.

    Raises:
        SignatureRefusedError: no; the message tells which part does not fit.
    """
    key = _load_public_key(public_key)
    try:
        key.verify(base64.b64decode(signed.signature.strip(), validate=True), signed.statement)
    except (InvalidSignature, binascii.Error):
        raise SignatureRefusedError(
            f"{SIGNATURE_NAME} is not the key's signature of {STATEMENT_NAME}"
        ) from None
    # The statement is ours down to the byte, so it is compared and not parsed.
    if signed.statement == _statement(image_id, signed.bill):
        return
    if json.dumps(image_id).encode() not in signed.statement:
        raise SignatureRefusedError(f"{STATEMENT_NAME} is of another image than {image_id}")
    raise SignatureRefusedError(f"{BILL_NAME} is not the bill of materials that was signed")


def _load_public_key(public_key: bytes) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(public_key)
    except (ValueError, UnsupportedAlgorithm) as error:
        reason = f"the public key cannot be used: {_first_line(error)}"
        raise SignatureRefusedError(reason) from error
    if not isinstance(key, Ed25519PublicKey):
        raise SignatureRefusedError("the public key is not of Ed25519")
    return key


def write_signed(signed: SignedImage, directory: Path) -> None:
    """Write the three files; the signature last, so that half of them is no signed image."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o755)
    (directory / SIGNATURE_NAME).unlink(missing_ok=True)
    (directory / BILL_NAME).write_bytes(signed.bill)
    (directory / STATEMENT_NAME).write_bytes(signed.statement)
    (directory / SIGNATURE_NAME).write_bytes(signed.signature)


def read_signed(directory: Path) -> SignedImage:
    """Read the three files.

    Raises:
        SignatureRefusedError: one is missing, cannot be read, or is too long.
    """
    return SignedImage(
        statement=_read(directory / STATEMENT_NAME),
        signature=_read(directory / SIGNATURE_NAME),
        bill=_read(directory / BILL_NAME),
    )


def directory_of(signatures: Path, image_id: str) -> Path:
    """Return where an image's files lie below `signatures`."""
    return signatures / image_id.replace(":", "-")


def _statement(image_id: str, bill: bytes) -> bytes:
    said = {
        "type": _TYPE,
        "version": _VERSION,
        "image": image_id,
        "sbom_sha256": hashlib.sha256(bill).hexdigest(),
    }
    return json.dumps(said, indent=1, sort_keys=True).encode() + b"\n"


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_LIMIT_BYTES + 1)
    except OSError as error:
        raise SignatureRefusedError(
            f"the image is not signed here: {path}: {error.strerror}; `hakoiri image sign`"
        ) from error
    if len(content) > FILE_LIMIT_BYTES:
        raise SignatureRefusedError(f"{path} is longer than {FILE_LIMIT_BYTES} bytes")
    return content


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
