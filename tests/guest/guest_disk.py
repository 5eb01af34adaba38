"""The guest's kernel, first file system and disk, made once from Debian's packages and kept.

The kernel of the machine that tests may have no AppArmor. Debian's cloud kernel has, and runs in an
emulated machine anywhere. What is kept is named by the hash of what it is made from.
"""

import gzip
import hashlib
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hakoiri.image.apt_sources import debian_sources
from hakoiri.image.root_filesystem import read_source_files

HERE: Final = Path(__file__).parent
CACHE: Final = HERE.parents[1] / "build/guest"
SUITE: Final = "bookworm"
PACKAGES: Final = (
    *("linux-image-cloud-amd64", "kmod", "apparmor", "docker.io", "runc", "busybox-static"),
    *("iproute2", "procps", "util-linux", "mount", "python3"),
)
INIT: Final = HERE / "guest_init.sh"
DISK_MIB: Final = 1500
BUILD_TIMEOUT_S: Final = 900

WANTED_MODULES: Final = ("virtio_pci", "virtio_blk", "ext4", "crc32c_generic")
"""What the first file system loads, with what they stand on, to find the disk."""

FIRST_INIT: Final = """\
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in /modules/*.ko; do /bin/busybox insmod $module; done
/bin/busybox mount -t ext4 /dev/vda /mnt || exec /bin/busybox poweroff -f
/bin/busybox mount --move /dev /mnt/dev
exec /bin/busybox switch_root /mnt INIT
"""


class GuestError(Exception):
    """The guest could not be made or run; the message says why."""


@dataclass(frozen=True, slots=True)
class Guest:
    """Where the three files are."""

    kernel: Path
    first_files: Path
    disk: Path


def ensure_guest(cache: Path = CACHE) -> Guest:
    """Return the guest; make it (about a minute) if these ingredients were not used before."""
    key = hashlib.sha256(
        "\n".join([Path(__file__).read_text(), INIT.read_text()]).encode()
    ).hexdigest()[:16]
    made = cache / f"machine-{key}"
    if not made.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="making-") as scratch:
            work = Path(scratch)
            _make(work)
            for old in cache.glob("machine-*"):
                shutil.rmtree(old)
            done = work / "done"
            done.rename(made)
    return Guest(made / "kernel", made / "first-files", made / "disk")


def _make(work: Path) -> None:
    root, done = work / "root", work / "done"
    done.mkdir()
    sources = debian_sources(read_source_files(), SUITE)
    run(
        [
            *("mmdebstrap", "--mode=root", "--variant=minbase", "--skip=output/dev"),
            '--aptopt=APT::Install-Recommends "false"',
            f"--include={','.join(PACKAGES)}",
            *(SUITE, str(root), *sources),
        ]
    )
    shutil.copy(INIT, root / "guest-init")
    (root / "guest-init").chmod(0o755)
    shutil.copy(next((root / "boot").glob("vmlinuz-*")), done / "kernel")
    (done / "first-files").write_bytes(first_files(root, work / "first", init="/guest-init"))
    shutil.rmtree(root / "boot")
    shutil.rmtree(root / "var/cache/apt", ignore_errors=True)
    make_disk(root, done / "disk", size_mib=DISK_MIB)


def first_files(root: Path, tree: Path, *, init: str) -> bytes:
    """Return the compressed archive that the kernel starts from; it finds the disk, runs `init`."""
    for name in ("bin", "dev", "mnt", "modules"):
        (tree / name).mkdir(parents=True)
    shutil.copy(root / "bin/busybox", tree / "bin/busybox")
    (tree / "init").write_text(FIRST_INIT.replace("INIT", init))
    (tree / "init").chmod(0o755)
    for number, module in enumerate(_modules(next((root / "lib/modules").iterdir()))):
        shutil.copy(module, tree / "modules" / f"{number:02}-{module.name}")
    names = "\n".join(sorted(str(path.relative_to(tree)) for path in tree.rglob("*")))
    archive = subprocess.run(
        [str(tree / "bin/busybox"), "cpio", "-o", "-H", "newc"],
        cwd=tree,
        input=names.encode(),
        capture_output=True,
        check=True,
        timeout=BUILD_TIMEOUT_S,
    ).stdout
    return gzip.compress(archive, 1, mtime=0)


def _modules(directory: Path) -> list[Path]:
    """Return the wanted modules' files, each after those that it stands on."""
    lines = (directory / "modules.dep").read_text().splitlines()
    needs = {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}
    ordered: list[str] = []
    for wanted in WANTED_MODULES:
        # what is not there is built into the kernel
        for file in (name for name in needs if Path(name).stem == wanted):
            ordered += [*reversed(needs[file]), file]
    return [directory / name for name in dict.fromkeys(ordered)]


def make_disk(tree: Path, disk: Path, *, size_mib: int) -> None:
    """Write the tree into a file with an ext4 file system."""
    run(
        [
            *("mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-d"),
            *(str(tree), str(disk), f"{size_mib}M"),
        ]
    )


def run(command: list[str]) -> None:
    """Run a command; raise `GuestError` with its last words if it fails or takes too long."""
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    try:
        subprocess.run(
            command,
            check=True,
            capture_output=True,
            text=True,
            timeout=BUILD_TIMEOUT_S,
            env={"PATH": path, "LC_ALL": "C"},
        )
    except subprocess.CalledProcessError as error:
        raise GuestError(f"{command[0]} failed: {error.stderr[-2000:]}") from error
    except (subprocess.TimeoutExpired, FileNotFoundError) as error:
        raise GuestError(f"{command[0]}: {error}") from error
