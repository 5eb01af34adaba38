"""`hakoiri image`: the image the agents live in."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from hakoiri.cli.client_options import Json, Output, wants_json
from hakoiri.cli.image_scan import read_scan, record_of, show_scan
from hakoiri.cli.noun import noun
from hakoiri.cli.screen import complain, remark, say, show_json
from hakoiri.cli.waiting import waiting
from hakoiri.cli.workspace_image import read_public_key, source_root, workspace_image
from hakoiri.host.container_settings import ContainerSettings
from hakoiri.image.bill_file import ensure_bill
from hakoiri.image.build import DEFAULT_CACHE_DIR, ensure_image, image_tag
from hakoiri.image.engine import Engine
from hakoiri.image.errors import ImageBuildError
from hakoiri.image.scan_record import write_record
from hakoiri.image.signature import (
    directory_of,
    read_signed,
    sign_image,
    verify_image,
    write_signed,
)

app = noun("Build, look through and sign the agents' image.")

DEFAULT_SIGNATURES = ContainerSettings().image_signatures

Cache = Annotated[Path, typer.Option(help="Where downloads and bills of materials are kept.")]
DockerHost = Annotated[
    str | None, typer.Option(help="The engine, as unix://PATH.", envvar="HAKOIRI_DOCKER_HOST")
]
Image = Annotated[
    str | None, typer.Option(help="Tag or id; by default the one that belongs to this version.")
]
Signatures = Annotated[Path, typer.Option(help="Where signatures are kept.")]


@contextmanager
def _errors_told(command: str) -> Iterator[None]:
    try:
        yield
    except ImageBuildError as error:
        complain(f"image {command}", error)
        raise typer.Exit(1) from None


@app.command()
def build(
    *,
    cache: Cache = DEFAULT_CACHE_DIR,
    docker_host: DockerHost = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Build the image if its inputs have changed; print its tag.

    Examples:
      hakoiri image build

      hakoiri image build --cache /srv/cache
    """
    with _errors_told("build"):
        tag = ensure_image(
            source_root=source_root(),
            docker_host=docker_host,
            cache_dir=cache,
            progress=remark,
        )
    _show({"tag": tag}, tag, output, as_json)


@app.command()
def tag(*, output: Output = "text", as_json: Json = False) -> None:
    """Print the tag of the image that belongs to this version, built or not.

    Example: hakoiri image tag
    """
    with _errors_told("tag"):
        name = image_tag(source_root())
    _show({"tag": name}, name, output, as_json)


@app.command()
def sbom(
    *,
    image: Image = None,
    cache: Cache = DEFAULT_CACHE_DIR,
    docker_host: DockerHost = None,
    output: Output = "json",
    as_json: Json = True,
) -> None:
    """Print what the image is made of, always as JSON: CycloneDX 1.6.

    Example: hakoiri image sbom > sbom.cdx.json
    """
    del output, as_json
    with _errors_told("sbom"):
        reference = image or workspace_image()
        say(ensure_bill(reference, engine=Engine(docker_host), cache_dir=cache), end="")


@app.command()
def scan(
    *,
    image: Image = None,
    signatures: Signatures = DEFAULT_SIGNATURES,
    docker_host: DockerHost = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Look for secrets and rights in every layer, and ask the scanners that are installed.

    Exits with 1 if anything was found. A scanner that could not look is named; it finds nothing.
    When the image was looked through is noted beside its signature, for hakoiri doctor.

    Examples:
      hakoiri image scan

      hakoiri image scan --image hakoiri/workspace:0123456789abcdef --json
    """
    with _errors_told("scan"):
        reference = image or workspace_image()
        with waiting("looking through every layer (about half a minute)"):
            result = read_scan(reference, docker_host=docker_host, recipe=source_root())
        record = record_of(result, now=datetime.now(UTC))
        told = write_record(record, directory_of(signatures, result.image_id))
    if told:
        complain("image scan", f"not noted down: {told}")
    show_scan(result, as_json=wants_json(output, as_json))
    raise typer.Exit(0 if result.is_clean else 1)


@app.command()
def sign(
    private_key: Annotated[Path, typer.Option("--key", help="PEM of an Ed25519 private key.")],
    *,
    image: Image = None,
    signatures: Signatures = DEFAULT_SIGNATURES,
    cache: Cache = DEFAULT_CACHE_DIR,
    docker_host: DockerHost = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Sign the image and its bill of materials; print where the signature is.

    With HAKOIRI_CONTAINER__IMAGE_PUBLIC_KEY set, only a signed image is run.

    Examples:
      openssl genpkey -algorithm ed25519 -out image.key

      openssl pkey -in image.key -pubout -out image.pub

      hakoiri image sign --key image.key
    """
    with _errors_told("sign"):
        engine = Engine(docker_host)
        reference = image or workspace_image()
        image_id = engine.describe(reference).image_id
        bill = ensure_bill(image_id, engine=engine, cache_dir=cache)
        directory = directory_of(signatures, image_id)
        try:
            signed = sign_image(
                image_id=image_id, bill=bill.encode(), private_key=private_key.read_bytes()
            )
            write_signed(signed, directory)
        except OSError as error:
            raise ImageBuildError(f"{error.filename}: {error.strerror}") from error
    _show({"signature": str(directory)}, str(directory), output, as_json)


@app.command()
def verify(
    public_key: Annotated[Path, typer.Option("--key", help="PEM of the Ed25519 public key.")],
    *,
    image: Image = None,
    signatures: Signatures = DEFAULT_SIGNATURES,
    docker_host: DockerHost = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Check that the image is the one that was signed; print its id. Exits with 1 if it is not.

    Example: hakoiri image verify --key image.pub
    """
    with _errors_told("verify"):
        image_id = Engine(docker_host).describe(image or workspace_image()).image_id
        verify_image(
            read_signed(directory_of(signatures, image_id)),
            image_id=image_id,
            public_key=read_public_key(public_key),
        )
    _show({"image": image_id}, image_id, output, as_json)


def _show(told: dict[str, str], text: str, output: str, as_json: bool) -> None:  # noqa: FBT001 - as given
    if wants_json(output, as_json):
        show_json(told, indent=None)
    else:
        say(text)
