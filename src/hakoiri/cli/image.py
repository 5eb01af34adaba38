"""`hakoiri image`: the image the agents live in."""

import json
from pathlib import Path
from typing import Annotated

import typer

from hakoiri.cli.workspace_image import source_root
from hakoiri.image.build import ensure_image, image_tag
from hakoiri.image.errors import ImageBuildError

DEFAULT_CACHE = Path("/var/cache/hakoiri")

app = typer.Typer(no_args_is_help=True, help="Build and name the image the agents live in.")


@app.command()
def build(
    *,
    cache: Annotated[Path, typer.Option(help="Where downloads are kept.")] = DEFAULT_CACHE,
    docker_host: Annotated[
        str | None, typer.Option(help="The engine, as unix://PATH.", envvar="HAKOIRI_DOCKER_HOST")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Give the tag as data.")] = False,
) -> None:
    """Build the image if its inputs have changed; print its tag.

    Examples:
      hakoiri image build

      hakoiri image build --cache /srv/cache
    """
    try:
        tag = ensure_image(
            source_root=source_root(),
            docker_host=docker_host,
            cache_dir=cache,
            progress=lambda line: typer.echo(line, err=True),
        )
    except ImageBuildError as error:
        typer.echo(f"hakoiri image build: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(json.dumps({"tag": tag}) if as_json else tag)


@app.command()
def tag() -> None:
    """Print the tag of the image that belongs to this version, built or not."""
    try:
        typer.echo(image_tag(source_root()))
    except ImageBuildError as error:
        typer.echo(f"hakoiri image tag: {error}", err=True)
        raise typer.Exit(1) from None
