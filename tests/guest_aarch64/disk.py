"""An aarch64 machine's kernel, first files and disk, made once from Debian's packages and kept.

The packages are those of the workspace image, and what it takes to run them in a container. They
are unpacked, not installed, since nothing of theirs can run here: what their scripts would do and
the guest needs is done by hand. Nothing of this machine's own packages or architectures changes.
"""

import gzip
import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import Final

from tests.guest.guest_disk import Guest, make_disk, run
from tests.guest_aarch64.agent_files import add_agent, read_agent
from tests.guest_aarch64.boxes import GIVEN, OWNED
from tests.guest_aarch64.first_files import first_files

from hakoiri.image.apt_sources import debian_sources
from hakoiri.image.inputs import SUITE, ImageInputs
from hakoiri.image.root_filesystem import read_source_files

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
CACHE: Final = ROOT / "build/guest-aarch64"
PACKAGES: Final = (
    *("?essential", "linux-image-cloud-arm64", "busybox-static", "runc", "iproute2", "kmod"),
    *("mawk", "mount"),
)
INIT: Final = HERE / "guest_init.sh"
MERGED_USR: Final = "/usr/share/mmdebstrap/hooks/merged-usr"
DISK_MIB: Final = 4000
MODULES: Final = (
    *("virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci"),
    "virtio_blk",
)
"""What the first files load to find the disk, in this order; ext4 is in this kernel."""

_USERS: Final = "agent:x:1000:1000::/home/agent:/bin/bash\n"
_GROUPS: Final = "agent:x:1000:\n"
_NAMES: Final = "passwd: files\ngroup: files\nhosts: files myhostname\n"
_MOUNTED: Final = (
    *("proc", "sys", "run", "tmp", "dev", "box", "payload"),
    *(path.lstrip("/") for path in (*OWNED, *GIVEN)),
)


def ensure_guest(cache: Path = CACHE) -> Guest:
    """Return the guest; make it (about a minute) if these ingredients were not used before."""
    inputs = read_agent()
    own = [(HERE / name).read_text() for name in ("disk.py", "agent_files.py", INIT.name)]
    key = hashlib.sha256("\n".join([*own, inputs.tag]).encode()).hexdigest()[:16]
    made = cache / f"machine-{key}"
    if not made.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="making-") as scratch:
            work = Path(scratch)
            _make(work, inputs, cache=cache)
            for old in cache.glob("machine-*"):
                shutil.rmtree(old)
            (work / "done").rename(made)
    return Guest(made / "kernel", made / "first-files", made / "disk")


def _make(work: Path, inputs: ImageInputs, *, cache: Path) -> None:
    root, done = work / "root", work / "done"
    done.mkdir()
    run(
        [
            *("mmdebstrap", "--mode=root", "--variant=extract"),
            f"--architectures={inputs.architecture}",
            *("--skip=output/dev", f"--hook-dir={MERGED_USR}"),
            '--aptopt=APT::Install-Recommends "false"',
            *(f"--include={name}" for name in (*PACKAGES, *inputs.packages)),
            *(SUITE, str(root), *debian_sources(read_source_files(), SUITE)),
        ]
    )
    _set_up(root)
    add_agent(root, inputs=inputs, cache=cache, work=work)
    shutil.copy(next((root / "boot").glob("vmlinuz-*")), done / "kernel")
    modules = next((root / "lib/modules").iterdir())
    found = [next(modules.rglob(f"{name}.ko")).read_bytes() for name in MODULES]
    busybox = (root / "bin/busybox").read_bytes()
    (done / "first-files").write_bytes(gzip.compress(first_files(busybox, found), 1, mtime=0))
    for name in ("boot", "usr/lib/modules", "usr/share/doc", "usr/share/locale", "usr/share/man"):
        shutil.rmtree(root / name)
    shutil.rmtree(root / "var/cache/apt", ignore_errors=True)
    make_disk(root, done / "disk", size_mib=DISK_MIB)


def _set_up(root: Path) -> None:
    """Do what the packages' own scripts would, as far as it is needed."""
    masters = root / "usr/share/base-passwd"
    (root / "etc/passwd").write_text((masters / "passwd.master").read_text() + _USERS)
    (root / "etc/group").write_text((masters / "group.master").read_text() + _GROUPS)
    (root / "etc/nsswitch.conf").write_text(_NAMES)
    (root / "etc/hostname").write_text("guest\n")
    (root / "usr/bin/awk").symlink_to("mawk")
    for name in _MOUNTED:
        (root / name).mkdir(parents=True, exist_ok=True)
    shutil.copy(INIT, root / "guest-init")
    (root / "guest-init").chmod(0o755)
