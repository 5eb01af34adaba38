"""What is done to the machine: the guide's commands, word for word, and what only this place needs.

A step with a page stands on it; a unit test looks. What has none is of this machine: what the one
that built the image knows of it comes along, and the model answers inside.
"""

from dataclasses import dataclass
from typing import Final

INSTALL: Final = "docs/operations/install.md"
REMAP: Final = "docs/operations/userns-remap.md"

CHECKOUT: Final = "/opt/hakoiri/releases/*/"
"""The release is whole, and a checkout, too."""

CURRENT: Final = "/opt/hakoiri/current"
TOML: Final = "/etc/hakoiri/hakoiri.toml"
DAEMON_SOURCE: Final = f"{CURRENT}/deployment/docker/daemon.json"
DAEMON: Final = "/etc/docker/daemon.json"
MODEL_PORT: Final = 8600
SLOW: Final = (
    "start_timeout_s = 400\\n\\n[admission]\\npressure_below_percent = 0\\n"
    "available_hold_percent = 0\\navailable_drain_percent = 0\\navailable_wait_percent = 0\\n"
    "\\n[warm_pool]\\nmin = 0\\nmax = 0\\n"
)
"""It computes ten times slower than its processors, and would be held to be too busy; one container
at a time is enough for it."""

CREATE_KEY: Final = 'hakoiri key create "the first client"'
KEY_LINE: Final = 'image_public_key = "/etc/hakoiri/image.pub"'
SHIP_LINE: Final = 'ship_file = "/etc/hakoiri/ship.toml"'

PROXY: Final = f"""\
[credentials.bedrock]
kind = "aws"
source = "static"
access_key_id_env = "MODEL_ACCESS_KEY_ID"
secret_access_key_env = "MODEL_SECRET_ACCESS_KEY"
services = ["bedrock"]
regions = ["us-east-1"]
endpoint = "http://127.0.0.1:{MODEL_PORT}"

[network]
allow_addresses = ["127.0.0.1:{MODEL_PORT}"]
"""

SHIP: Final = """\
[[target]]
name = "share"
kind = "file"
directory = "/mnt/audit"
"""


@dataclass(frozen=True, slots=True)
class Step:
    """A command, and the page on which it stands; `keep` names a file for what it prints."""

    name: str
    command: str
    page: str | None = None
    at: str = "/root"
    keep: str | None = None


def steps(*, access_key_id: str, secret: str) -> list[Step]:
    """Return the steps from a Debian with a release's packages to a host for production."""
    secrets = f"MODEL_ACCESS_KEY_ID={access_key_id}\nMODEL_SECRET_ACCESS_KEY={secret}\n"
    return [
        Step("install", "deployment/systemd/install.sh install", INSTALL, at=CHECKOUT),
        Step("apparmor", f"{CURRENT}/deployment/apparmor/load.sh load", INSTALL),
        Step("no containers", 'test -z "$(docker ps --all --quiet)"'),
        Step("subuid", "cat deployment/docker/subuid >>/etc/subuid", REMAP, at=CURRENT),
        Step("subgid", "cat deployment/docker/subgid >>/etc/subgid", REMAP, at=CURRENT),
        Step("daemon.json", f"install -D -m 644 {DAEMON_SOURCE} {DAEMON}"),
        Step("restart the engine", "systemctl restart docker", REMAP),
        Step("bill of the build", "install -D -t /var/cache/hakoiri/bills /payload/bills/*"),
        Step("image is there", "hakoiri image build", REMAP),
        Step("secrets", "install -m 600 /dev/null /etc/hakoiri/proxy.env", INSTALL),
        Step("secrets written", f"cat >/etc/hakoiri/proxy.env <<'END'\n{secrets}END"),
        Step("a model in here", f"cat >/etc/hakoiri/proxy.toml <<'END'\n{PROXY}END"),
        Step("private key", "openssl genpkey -algorithm ed25519 -out image.key", INSTALL),
        Step("public key", "openssl pkey -in image.key -pubout -out image.pub", INSTALL),
        Step("sign", "hakoiri image sign --key image.key", INSTALL),
        Step("scan of the build", "cp -r /payload/images /etc/hakoiri"),
        Step("key put", "install -m 644 image.pub /etc/hakoiri/image.pub", INSTALL),
        Step("key named", f"echo '{KEY_LINE}' >>{TOML}"),
        Step("time for an emulated machine", f"printf '{SLOW}' >>{TOML}"),
        Step("place of copies", "install -d -o hakoiri-shipper /mnt/audit"),
        Step("copies", f"install -m 600 /dev/stdin /etc/hakoiri/ship.toml <<'END'\n{SHIP}END"),
        Step("copies named", f"printf '\\n[audit]\\n{SHIP_LINE}\\n' >>{TOML}"),
        Step("api key", CREATE_KEY, INSTALL, keep="key"),
    ]


@dataclass(frozen=True, slots=True)
class Undoing:
    """A layer taken away, the point that must be named, and how it is put back."""

    point: str
    undo: str
    redo: str = "true"
    environment: str = ""


UNDOINGS: Final = (
    Undoing(
        "apparmor",
        f"{CURRENT}/deployment/apparmor/load.sh unload",
        f"{CURRENT}/deployment/apparmor/load.sh load",
    ),
    Undoing(
        "userns-remap",
        f"sed -i /userns-remap/d {DAEMON} && systemctl restart docker",
        f"cp {DAEMON_SOURCE} {DAEMON} && systemctl restart docker",
    ),
    Undoing("engine socket", "chmod o+rw /run/docker.sock", "chmod o-rwx /run/docker.sock"),
    Undoing("kernel log", "rm /dev/kmsg", "mknod -m 600 /dev/kmsg c 1 11"),
    Undoing("probe", "true", environment="HAKOIRI_CONTAINER__PROBE_AT_START=false"),
    Undoing(
        "audit log",
        f"sed -i 's/^ship_file/#&/' {TOML}",
        f"sed -i 's/^#ship_file/ship_file/' {TOML}",
        environment="HAKOIRI_AUDIT__ENABLED=false",
    ),
    Undoing(
        "image signature",
        f"sed -i 's/^image_public_key/#&/' {TOML}",
        f"sed -i 's/^#image_public_key/image_public_key/' {TOML}",
    ),
    Undoing("model", "true", environment="HAKOIRI_MODEL__PROVIDER=rehearsal"),
    # the key is made after it
    Undoing("api keys", "true"),
)
"""All at once, before the service is started for the first time: that shows them put back."""
