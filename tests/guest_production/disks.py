"""The disks of a host for production: Debian with systemd, and a release as `install.sh` makes it.

The machine has no network, so what comes from package archives is fetched here: Debian's packages
into its disk, the release's Python environment into another. Each is named by the hash of what it
is made from, and kept.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.guest.guest_disk import (
    CACHE,
    SUITE,
    Guest,
    GuestError,
    first_files,
    make_disk,
    run,
)
from tests.remapped_engine import copy_image, remapped_engine

from hakoiri.image.apt_sources import debian_sources
from hakoiri.image.root_filesystem import read_source_files

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
PACKAGES: Final = (
    *("linux-image-cloud-amd64", "busybox-static", "kmod", "apparmor", "systemd", "systemd-sysv"),
    *("dbus", "udev", "docker.io", "runc", "runsc", "iptables", "iproute2", "procps"),
    *("util-linux", "mount", "e2fsprogs", "python3", "python3-venv", "openssl", "curl"),
)
"""What Debian's own installation or `install.sh` puts there, but for what builds the image."""

UNIT: Final = HERE / "payload.service"
USERS: Final = ROOT / "deployment/setup/users.sh"
INSTALLER: Final = ROOT / "deployment/systemd/install.sh"
REQUIREMENTS: Final = ROOT / "requirements/runtime.txt"
PARTS: Final = (
    *("src", "workspace-base", "deployment", "docs", "requirements"),
    *("pyproject.toml", "README.md", "CHANGELOG.md"),
)
"""What a release holds of a checkout (`PARTS` of `install.sh`)."""

DISK_MIB: Final = 32 * 1024
RELEASE_MIB: Final = 2 * 1024
STORE_MIB: Final = 16 * 1024
"""Sparse, all of them."""

CHROOT_TIMEOUT_S: Final = 900
PREPARE: Final = """\
source /users.sh
run_step() { shift 2; "$@"; }
for name in '' -proxy -guard -audit -reader -shipper; do ensure_user "hakoiri$name"; done
rm /users.sh
mkdir -p /opt/hakoiri /var/lib/docker
echo /dev/vdc /opt/hakoiri ext4 defaults 0 0 >>/etc/fstab
echo /dev/vdd /var/lib/docker ext4 defaults 0 0 >>/etc/fstab
systemctl mask getty.target apt-daily.timer apt-daily-upgrade.timer
systemctl enable payload.service
"""
MAKE_ENVIRONMENT: Final = """\
mount -o loop,ro "$1" "$2" && mount --bind "$3" "$2/opt" && mount -t tmpfs tmpfs "$2/tmp"
mount --bind /dev "$2/dev" && mount --bind "$4" "$2/mnt" && mount -t proc proc "$2/proc"
exec chroot "$2" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LC_ALL=C \
  PIP_NO_INDEX=1 PIP_FIND_LINKS=/mnt bash -euc '
  "$0/deployment/setup/venv.sh" runtime
  "$0/.venv/bin/python" -m compileall -q "$0/src"' "$5"
"""


def ensure_machine(cache: Path = CACHE) -> Guest:
    """Return the machine's files; make them (about two minutes) if they are not kept."""
    key = _hash_of(Path(__file__), UNIT, USERS)
    made = _ensure(cache, "production", key, _make_machine)
    return Guest(made / "kernel", made / "first-files", made / "disk")


def ensure_release(machine: Guest, cache: Path = CACHE) -> tuple[str, Path]:
    """Return this checkout's name as a release, and a disk with what belongs to `/opt/hakoiri`."""
    name = subprocess.run(
        ["bash", str(INSTALLER), "name"], capture_output=True, text=True, check=True
    ).stdout.strip()
    key = f"{_hash_of(Path(__file__))}-{name}"
    made = _ensure(cache, "release", key, lambda work: _make_release(work, machine.disk, name))
    return name, made / "disk"


def ensure_store(image: str, image_id: str, *, docker_host: str, cache: Path = CACHE) -> Path:
    """Return a disk with the store of an engine that maps users, with the image in it.

    So `docker load` leaves it, which takes minutes in an emulated machine.
    """

    def make(work: Path) -> None:
        with remapped_engine() as engine:
            copy_image(image, source=docker_host, target=engine.docker_host)
            engine.stop()
            store = engine.data_directory / "data"
            make_disk(store, work / "done/disk", size_mib=STORE_MIB)

    key = f"{_hash_of(Path(__file__))}-{image_id.removeprefix('sha256:')[:16]}"
    return _ensure(cache, "store", key, make) / "disk"


def _hash_of(*files: Path) -> str:
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:16]


def _ensure(cache: Path, kind: str, key: str, make: Callable[[Path], None]) -> Path:
    """Return the directory of that key; make it, and remove those of other keys, if need be."""
    made = cache / f"{kind}-{key}"
    if not made.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="making-") as scratch:
            work = Path(scratch)
            (work / "done").mkdir()
            make(work)
            for old in cache.glob(f"{kind}-*"):
                shutil.rmtree(old)
            (work / "done").rename(made)
    return made


def _make_machine(work: Path) -> None:
    root, done = work / "root", work / "done"
    sources = debian_sources(read_source_files(), SUITE)
    unit = f"copy-in {UNIT} /etc/systemd/system"
    run(
        [
            *("mmdebstrap", "--mode=root", "--variant=minbase", "--skip=output/dev"),
            '--aptopt=APT::Install-Recommends "false"',
            f"--include={','.join(PACKAGES)}",
            f"--customize-hook={unit}",
            f"--customize-hook=copy-in {USERS} /",
            f"--customize-hook=chroot \"$1\" bash -euc '{_quoted(PREPARE)}'",
            *(SUITE, str(root), *sources),
        ]
    )
    shutil.copy(next((root / "boot").glob("vmlinuz-*")), done / "kernel")
    (done / "first-files").write_bytes(first_files(root, work / "first", init="/sbin/init"))
    shutil.rmtree(root / "boot")
    shutil.rmtree(root / "var/cache/apt", ignore_errors=True)
    make_disk(root, done / "disk", size_mib=DISK_MIB)


def _quoted(script: str) -> str:
    return script.replace("'", "'\\''")


def _make_release(work: Path, machine_disk: Path, name: str) -> None:
    """Do what `make_release` of `install.sh` does, but for the engine and its image."""
    base, mount_point = work / "opt", work / "machine"
    wheels = _ensure(CACHE, "wheels", _hash_of(REQUIREMENTS), _fetch_wheels) / "wheels"
    release = base / "hakoiri/releases" / name
    for directory in (release, mount_point):
        directory.mkdir(parents=True)
    copy_checkout(release)
    inside = f"/opt/hakoiri/releases/{name}"
    places = [str(one) for one in (machine_disk, mount_point, base, wheels)]
    done = subprocess.run(
        ["unshare", "--mount", "bash", "-euc", MAKE_ENVIRONMENT, "bash", *places, inside],
        capture_output=True,
        text=True,
        timeout=CHROOT_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise GuestError(f"the release was not made: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    (release / ".whole").touch()
    make_disk(base / "hakoiri", work / "done/disk", size_mib=RELEASE_MIB)


def copy_checkout(target: Path) -> None:
    """Copy what a release holds, as `install.sh` does."""
    packed = ["tar", "--exclude=__pycache__", "-C", str(ROOT), "-cf", "-", *PARTS]
    with subprocess.Popen(packed, stdout=subprocess.PIPE) as packing:
        unpacked = ["tar", "--no-same-owner", "-C", str(target), "-xf", "-"]
        subprocess.run(unpacked, stdin=packing.stdout, check=True)
    if packing.returncode != 0:
        raise GuestError("the checkout could not be copied")


def _fetch_wheels(work: Path) -> None:
    """Fetch the release's Python packages with this host's own pip."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--no-input", "--only-binary=:all:", "--require-hashes"),
            *("--requirement", str(REQUIREMENTS), "--dest", str(work / "done/wheels")),
        ],
        capture_output=True,
        text=True,
        timeout=CHROOT_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise GuestError(f"Python's packages were not fetched: {done.stderr[-2000:]}")
