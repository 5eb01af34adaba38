"""Real libraries for the tests' package index, packed again from where they are installed here.

No test then needs a package index outside. Compiled parts are left out, so that a wheel fits every
interpreter: the libraries named here do without.
"""

import hashlib
import zipfile
from collections.abc import Sequence
from importlib.metadata import Distribution, distribution
from pathlib import Path

AWS_SDK = (
    "boto3",
    "botocore",
    "jmespath",
    "python-dateutil",
    "s3transfer",
    "six",
    "urllib3",
)
_AWS_DATA = "botocore/data/"
_SERVICE = "botocore/data/s3/"


def write_index(directory: Path, names: Sequence[str]) -> None:
    """Write a simple repository (PEP 503) with one wheel for each name."""
    for name in names:
        shelf = directory / name
        shelf.mkdir(parents=True)
        found = distribution(name)
        wheel = shelf / f"{name.replace('-', '_')}-{found.version}-py3-none-any.whl"
        _pack(found, wheel)
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        link = f'<a href="{wheel.name}#sha256={digest}">{wheel.name}</a>'
        (shelf / "index.html").write_text(link)


def _pack(found: Distribution, wheel: Path) -> None:
    packed: list[str] = []
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file in found.files or []:
            path = file.as_posix()
            if _is_needed(path) and Path(str(file.locate())).is_file():
                archive.write(str(file.locate()), path)
                packed.append(path)
        info = next(path.split("/")[0] for path in packed if ".dist-info/" in path)
        about = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(f"{info}/WHEEL", about)
        names = [*packed, f"{info}/WHEEL", f"{info}/RECORD"]
        archive.writestr(f"{info}/RECORD", "".join(f"{path},,\n" for path in names))


def _is_needed(path: str) -> bool:
    """Whether a file belongs into the wheel: sources and data, of AWS's services S3 alone."""
    if path.startswith("..") or path.endswith((".pyc", ".so", ".pyd")) or "__pycache__" in path:
        return False
    if path.endswith(("/RECORD", "/WHEEL", "/INSTALLER", "/REQUESTED", "/direct_url.json")):
        return False
    in_a_service = path.startswith(_AWS_DATA) and path.count("/") > _AWS_DATA.count("/")
    return not in_a_service or path.startswith(_SERVICE)
