"""The bill of materials of an image the engine has, kept beside the build's downloads."""

from pathlib import Path

from hakoiri.image.bill_of_materials import read_packages, render_bill
from hakoiri.image.engine import Engine
from hakoiri.image.errors import ImageBuildError
from hakoiri.image.saved_image import read_file_system
from hakoiri.wire.guard import IMAGE_REPOSITORY


def ensure_bill(reference: str, *, engine: Engine, cache_dir: Path) -> str:
    """Return the image's bill as CycloneDX JSON; made from its file system if it is not kept yet.

    Raises:
        ImageBuildError: there is no such image, or the bill cannot be made or kept.
    """
    image = engine.describe(reference)
    path = cache_dir / "bills" / f"{image.image_id.replace(':', '-')}.cdx.json"
    try:
        if path.exists():
            return path.read_text(encoding="utf-8")
        with engine.exported(image.image_id) as archive:
            packages = read_packages(read_file_system(archive))
        bill = render_bill(
            packages, name=IMAGE_REPOSITORY, image_id=image.image_id, made=image.made
        )
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        new = path.with_suffix(".new")
        new.write_text(bill, encoding="utf-8")
        new.replace(path)
    except OSError as error:
        raise ImageBuildError(f"{error.filename}: {error.strerror}; name another cache") from error
    return bill
