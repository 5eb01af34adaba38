"""The stack's rights as docs/operations/compose.md argues them: who loosens one changes this."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from hakoiri.cli.service import Process
from hakoiri.cli.supervisor.boxes_view import VIEW_SUFFIX

ROOT: Final = Path(__file__).parents[3]
FILE: Final = ROOT / "docker-compose.yml"
OVERLAYS: Final = sorted((ROOT / "deployment/compose").glob("*v[12].yml"))
SHIPPER: Final = ROOT / "deployment/compose/audit-shipper.yml"
PRODUCTION: Final = ROOT / "deployment/compose/production.yml"
REHEARSAL: Final = ROOT / "deployment/compose/rehearsal.yml"
PAGE: Final = ROOT / "docs/operations/compose.md"
ONCE: Final = ("prepare", "production")
"""They end at once, and who needs them waits for that."""

TOOLS: Final = ("key", "audit")

ROOTS: Final = {
    "prepare": {"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID"},
    "docker-guard": {
        *("SYS_ADMIN", "CHOWN", "DAC_OVERRIDE", "FOWNER", "SETUID", "SETGID", "SETPCAP"),
    },
    "server": {
        *("CHOWN", "DAC_OVERRIDE", "FOWNER", "SETUID", "SETGID", "SETPCAP", "SYSLOG", "NET_ADMIN"),
    },
    "key": {"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID"},
    "audit": {"DAC_READ_SEARCH"},
    "production": {"DAC_READ_SEARCH", "SYSLOG"},
}
"""Who begins as root, with which capabilities; nobody else has any."""

WRITABLE: Final = {
    "prepare": {
        *("/srv/hakoiri", "/var/lib/hakoiri", "${BASE_DIR}/live", "/var/lib/hakoiri-proxy"),
        *("/var/log/hakoiri", "/run/hakoiri"),
    },
    "audit-keeper": {
        "/run/hakoiri/keeper",
        "/var/log/hakoiri/${INSTANCE}/keeper",
        "/var/log/hakoiri/${INSTANCE}/heads",
    },
    "audit-reader": {"/run/hakoiri/audit"},
    "audit-shipper": {
        *("/run/hakoiri/ship", "/var/log/hakoiri/${INSTANCE}/shipper", "/srv/audit-copy"),
    },
    "docker-guard": {
        *("/run/engine/docker.sock", "/dev", "${BASE_DIR}/live", "/run/hakoiri/guard"),
        "/var/log/hakoiri/${INSTANCE}/guard",
    },
    "credential-proxy": {
        *("/run/hakoiri/proxy", "/var/lib/hakoiri-proxy/${INSTANCE}"),
        "/var/log/hakoiri/${INSTANCE}/proxy",
    },
    "redis": {"/data", "/run/redis"},
    "postgres": {"/var/lib/postgresql/data", "/run/postgresql"},
    "server": {
        *("/var/lib/hakoiri", "${BASE_DIR}/live/${INSTANCE}"),
        "/var/log/hakoiri/${INSTANCE}/server",
    },
    "prometheus": {"/prometheus"},
    "grafana": {"/var/lib/grafana"},
    "key": {"/var/lib/hakoiri", "/var/log/hakoiri"},
    "audit": set(),
    "production": set(),
    "rehearsal": set(),
}
"""Where each may write, beside a small /tmp."""

SECRETS: Final = {
    "credential-proxy": {"proxy_file", "model_key"},
    "redis": {"redis_file"},
    "postgres": {"postgres_password"},
    "server": {"postgres_passfile", "redis_credentials"},
    "prometheus": {"metrics_key"},
    "grafana": {"grafana_password"},
    "key": {"postgres_passfile"},
    "rehearsal": {"rehearsal_key"},
    "audit-shipper": {"ship_file"},
    "production": {"postgres_passfile"},
}


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    return document


STACK: Final = read(FILE)
SHIPPING: Final = read(SHIPPER)
DEMANDING: Final = read(PRODUCTION)
SERVICES: Final[dict[str, dict[str, Any]]] = {
    **STACK["services"],
    **read(REHEARSAL)["services"],
    "audit-shipper": SHIPPING["services"]["audit-shipper"],
    "production": DEMANDING["services"]["production"],
}
ALL: Final = sorted(SERVICES)
LONG_RUNNING: Final = [name for name in ALL if name not in {*TOOLS, *ONCE}]


def volumes(name: str) -> list[tuple[str, str, str]]:
    """Source, target and options of each mount."""
    found = []
    for line in SERVICES[name].get("volumes", ()):
        shielded = re.sub(r"\$\{[^}]*\}", lambda one: one[0].replace(":", "\0"), line)
        source, target, *options = (part.replace("\0", ":") for part in shielded.split(":"))
        found.append((source, target, ",".join(options)))
    return found


@pytest.mark.parametrize("name", ALL)
def test_a_service_has_the_least_that_any_has(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["userns_mode"] == "host"
    assert re.fullmatch(r"\d+:\d+", service["user"])
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert not {"privileged", "ports", "ipc", "cgroup_parent", "env_file"}.intersection(service)
    assert service["network_mode" if "network_mode" in service else "networks"]


@pytest.mark.parametrize("name", ALL)
def test_only_who_must_begins_as_root_and_each_capability_is_known(name: str) -> None:
    service = SERVICES[name]
    assert set(service.get("cap_add", ())) == ROOTS.get(name, set())
    assert service["user"].startswith("0:") == (name in ROOTS)


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_what_runs_on_is_looked_at_and_started_again(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"]
    assert service["restart"] == "unless-stopped"


def test_the_guard_alone_has_engine_devices_and_the_hosts_processes() -> None:
    for name in ALL:
        is_guard = name == "docker-guard"
        service, mounts = SERVICES[name], volumes(name)
        if name == "production":  # it looks at the engine, and ends before there is any box
            assert service["restart"] == "no"
            assert service["network_mode"] == "none"
            continue
        assert any("docker.sock" in source for source, _, _ in mounts) == is_guard
        assert any(source == "/dev" for source, _, _ in mounts) == is_guard
        assert ("pid" in service) == is_guard
        assert ("device_cgroup_rules" in service) == is_guard
        assert ("apparmor:unconfined" in service["security_opt"]) == is_guard
        assert any("rshared" in options for _, _, options in mounts) == is_guard
        assert ("devices" in service) == (name == "server")
    assert SERVICES["docker-guard"]["device_cgroup_rules"] == ["b 7:* rw", "c 10:237 rw"]
    assert SERVICES["server"]["devices"] == ["/dev/kmsg:/dev/kmsg:r"]


@pytest.mark.parametrize("name", ALL)
def test_nobody_writes_where_he_need_not(name: str) -> None:
    may = {target for _, target, options in volumes(name) if "ro" not in options.split(",")}
    assert may == WRITABLE[name]
    for entry in SERVICES[name].get("tmpfs", ()):
        assert entry.startswith("/tmp:size=16m,")  # noqa: S108
        assert {"noexec", "nosuid", "nodev"} <= set(entry.split(","))


def test_nobody_mounts_what_is_the_hosts() -> None:
    for name in ALL:
        for source, _, _ in volumes(name):
            is_known = source.startswith(("${BASE_DIR}/", "./deployment/")) or (
                (name, source) in {("docker-guard", "/dev"), ("prepare", "${BASE_DIR}")}
                or (name, source.split(":")[0])
                in {
                    ("audit-shipper", "${AUDIT_COPY_DIR"),
                    ("production", "/sys/kernel/security"),
                    ("production", "${IMAGE_PUBLIC_KEY"),
                    ("production", "${IMAGE_SIGNATURES"),
                }
            )
            assert is_known or "DOCKER_SOCKET" in source, (name, source)


def test_no_process_sees_what_is_anothers() -> None:
    for name in (
        *("audit-keeper", "audit-reader", "audit-shipper"),
        *("docker-guard", "credential-proxy", "server"),
    ):
        for source, target, options in volumes(name):
            chain = re.search(r"/audit/\$\{INSTANCE\}/(\w+)$", source)
            if chain and "ro" not in options and chain[1] != "heads":
                assert chain[1] == name.removeprefix("audit-").removeprefix("docker-").removeprefix(
                    "credential-"
                ), (name, target)
    sources = {source for source, _, _ in volumes("server")}
    assert f"${{BASE_DIR}}/live/${{INSTANCE}}{VIEW_SUFFIX}" in sources
    assert not any("secrets" in source or source.endswith("/live") for source in sources)
    assert not any(
        source.startswith("${BASE_DIR}/data") for source, _, _ in volumes("docker-guard")
    )
    assert not any("/data" in source for source, _, _ in volumes("credential-proxy"))


@pytest.mark.parametrize("path", OVERLAYS, ids=lambda path: path.stem)
def test_control_groups_are_mounted_one_by_one_and_read_only(path: Path) -> None:
    (name,) = (services := read(path)["services"])
    assert name == "server"
    (only,) = services[name]
    assert only == "volumes"
    mounts = services[name]["volumes"]
    assert all(line.endswith(":ro") for line in mounts)
    is_one = path.stem == "cgroup-v2"
    assert (mounts == ["/sys/fs/cgroup:/sys/fs/cgroup:ro"]) == is_one
    assert is_one or all(line.count("/") == 8 for line in mounts)


def test_the_shipper_gives_the_others_no_more_than_to_see_how_it_is() -> None:
    told = "/run/secrets/ship_file"
    for name, added in SHIPPING["services"].items():
        if name == "audit-shipper":
            assert added["group_add"] == ["8423"], "the keeper's, by which chains are read"
            continue
        assert added["environment"] == {"HAKOIRI_AUDIT__SHIP_FILE": told}
        assert set(added) <= {"environment", "volumes"}
        assert added.get("volumes", []) in (
            [],
            ["${BASE_DIR}/run/ship:/run/hakoiri/ship:ro"],
        )


def test_no_server_starts_before_production_is_found_fit() -> None:
    services = DEMANDING["services"]
    ended_well = {"condition": "service_completed_successfully"}
    assert services["server"]["depends_on"] == {"production": ended_well}
    key = services["production"]["environment"]["HAKOIRI_CONTAINER__IMAGE_PUBLIC_KEY"]
    # the server asks the guard for the image, which looks at its signature and holds its id
    assert set(services["server"]) == {"depends_on"}
    added = services["docker-guard"]
    assert added["environment"] == {"HAKOIRI_CONTAINER__IMAGE_PUBLIC_KEY": key}
    assert all(line.endswith(":ro") for line in added["volumes"])


def test_the_proxy_alone_has_a_way_out() -> None:
    networks = STACK["networks"]
    assert {name for name, one in networks.items() if not (one or {}).get("internal")} == {
        "outside"
    }
    for name in ALL:
        service = SERVICES[name]
        if "network_mode" in service:
            wanted = {
                "rehearsal": "service:credential-proxy",
                "audit-shipper": "${AUDIT_SHIP_NETWORK:-none}",
            }.get(name, "none")
            assert service["network_mode"] == wanted
            continue
        assert ("outside" in service["networks"]) == (name == "credential-proxy")
        if name != "credential-proxy":
            assert service["dns"] == ["127.0.0.1"], "the engine would ask the outside for names"
    assert list(SERVICES["credential-proxy"]["networks"]) == ["outside"]


@pytest.mark.parametrize("name", ALL)
def test_a_secret_is_a_file_of_its_readers_alone(name: str) -> None:
    service = SERVICES[name]
    assert set(service.get("secrets", ())) == SECRETS.get(name, set())
    for variable, value in (service.get("environment") or {}).items():
        if re.search(r"PASSWORD|SECRET|TOKEN|CREDENTIAL|(?<!PUBLIC)_KEY", variable):
            assert variable.endswith("_FILE"), variable
            assert value.startswith("/run/secrets/")
        assert not re.search(r"://[^/@]*:[^/@]+@", str(value)), variable


def test_every_secret_is_a_file_below_the_closed_directory() -> None:
    declared = STACK["secrets"] | read(REHEARSAL)["secrets"] | SHIPPING["secrets"]
    assert set(declared) == {one for named in SECRETS.values() for one in named}
    for name, where in declared.items():
        assert where == {"file": f"${{BASE_DIR}}/secrets/{name}"}


def test_others_images_are_named_by_a_whole_version() -> None:
    for name in ("redis", "postgres", "prometheus", "grafana"):
        image = SERVICES[name]["image"]
        assert re.fullmatch(r"\$\{\w+:-[a-z/]+:v?\d+\.\d+(\.\d+)?(-bookworm)?\}", image), image


def test_what_the_environment_file_says_is_what_the_stack_asks_for() -> None:
    text = "\n".join(path.read_text() for path in (FILE, SHIPPER, PRODUCTION, *OVERLAYS))
    asked = set(re.findall(r"\$\{([A-Z_]+)", text))
    example = (ROOT / ".env.example").read_text()
    told = dict(re.findall(r"^([A-Z_]+)=(.*)$", example, flags=re.MULTILINE))
    assert set(told) == asked | {"COMPOSE_FILE", "COMPOSE_PROJECT_NAME"}
    for name, default in re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", text):
        assert told[name] == default
    for file in told["COMPOSE_FILE"].split(":"):
        assert (ROOT / file).is_file()


def test_the_images_users_are_those_of_the_stack() -> None:
    added = dict(re.findall(r"add (\d+) ([a-z-]+)", (ROOT / "Dockerfile").read_text()))
    assert added["8420"] == "hakoiri"
    users = {
        "audit-keeper": ("hakoiri-audit", "hakoiri-audit"),
        "audit-reader": ("hakoiri-reader", "hakoiri-audit"),
        "audit-shipper": ("hakoiri-shipper", "hakoiri-shipper"),
        "credential-proxy": ("hakoiri-proxy", "hakoiri-proxy"),
    }
    for name, wanted in users.items():
        uid, _, gid = SERVICES[name]["user"].partition(":")
        assert (added[uid], added[gid]) == wanted
    others = [SERVICES[name]["user"] for name in ("redis", "postgres", "prometheus", "grafana")]
    assert len({*others, *added}) == len(others) + len(added)


def test_each_process_is_a_service() -> None:
    started = {
        SERVICES[name]["command"][1]
        for name in ALL
        if SERVICES[name].get("command", [""])[0] == "service"
    }
    assert started == set(Process)


def test_files_of_the_repository_that_are_mounted_are_there() -> None:
    for name in ALL:
        for source, _, _ in volumes(name):
            if source.startswith("./"):
                assert (ROOT / source).exists(), source


def test_every_service_and_right_is_argued() -> None:
    page = PAGE.read_text()
    for name in ALL:
        assert f"`{name}`" in page, name
    for capability in {one for named in ROOTS.values() for one in named}:
        assert f"`{capability}`" in page, capability
