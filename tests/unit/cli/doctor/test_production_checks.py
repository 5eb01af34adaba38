from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.doctor.test_engine_checks import ENGINE

from hakoiri.cli.doctor.finding import State
from hakoiri.cli.doctor.production_checks import PREFIX, ProductionFacts, check_production
from hakoiri.host.launch import AppArmorKnown
from hakoiri.host.settings import Settings

FIT = Settings.model_validate(
    {
        "model": {"provider": "anthropic"},
        "container": {
            "apparmor_profile": "workspace-container",
            "image_public_key": "/etc/hakoiri/image.pem",
        },
    }
)
WHOLE = replace(
    ENGINE,
    security_options=("name=apparmor", "name=seccomp,profile=default", "name=userns"),
    lacking_limits=(),
    root_directory="/var/lib/docker/100000.100000",
)
ALL = ProductionFacts(
    apparmor=AppArmorKnown(enabled=True, profiles={"workspace-container": "enforce"}),
    engine=WHOLE,
    engine_problem="",
    engine_socket_mode=0o660,
    kernel_log_is_readable=True,
    valid_keys=1,
)


def container(**changes: Any) -> Settings:
    return FIT.model_copy(update={"container": FIT.container.model_copy(update=changes)})


def missing(settings: Settings, facts: ProductionFacts) -> list[str]:
    found = check_production(settings, facts)
    assert len({one.name for one in found}) == len(found)
    assert all(bool(one.mend) == (one.state is not State.OK) for one in found)
    assert all(one.name.startswith(PREFIX) for one in found)
    return [one.name.removeprefix(PREFIX) for one in found if one.state is not State.OK]


def test_a_host_that_has_it_all_is_fit() -> None:
    assert missing(FIT, ALL) == []


def engine_without(word: str) -> ProductionFacts:
    kept = tuple(option for option in WHOLE.security_options if word not in option)
    return replace(ALL, engine=replace(WHOLE, security_options=kept))


@pytest.mark.parametrize(
    ("lacking", "settings", "facts"),
    [
        ("apparmor", FIT, replace(ALL, apparmor=AppArmorKnown())),
        ("apparmor", FIT, engine_without("apparmor")),
        ("apparmor", container(apparmor_profile=None), ALL),
        ("apparmor", container(apparmor_profile="other"), ALL),
        ("apparmor", FIT, replace(ALL, apparmor=AppArmorKnown(enabled=True))),
        ("seccomp", FIT, engine_without("seccomp")),
        ("userns-remap", FIT, engine_without("userns")),
        (
            "userns-remap",
            FIT,
            replace(ALL, engine=replace(WHOLE, root_directory="/var/lib/docker")),
        ),
        ("limits", FIT, replace(ALL, engine=replace(WHOLE, lacking_limits=("swap",)))),
        ("engine socket", FIT, replace(ALL, engine_socket_mode=0o666)),
        ("engine socket", FIT, replace(ALL, engine_socket_mode=0o662)),
        ("engine socket", FIT, replace(ALL, engine_socket_mode=None)),
        ("kernel log", FIT, replace(ALL, kernel_log_is_readable=False)),
        ("probe", container(probe_at_start=False), ALL),
        (
            "audit log",
            FIT.model_copy(update={"audit": FIT.audit.model_copy(update={"enabled": False})}),
            ALL,
        ),
        ("image signature", container(image_public_key=None), ALL),
        (
            "model",
            FIT.model_copy(
                update={"model": FIT.model.model_copy(update={"provider": "rehearsal"})}
            ),
            ALL,
        ),
        ("api keys", FIT, replace(ALL, valid_keys=0)),
        ("api keys", FIT, replace(ALL, valid_keys=None)),
    ],
)
def test_each_thing_that_is_lacking_is_named_alone(
    lacking: str, settings: Settings, facts: ProductionFacts
) -> None:
    assert missing(settings, facts) == [lacking]


def test_an_engine_that_is_away_is_not_taken_for_a_fit_one() -> None:
    away = replace(ALL, engine=None, engine_problem="connection refused")
    assert missing(FIT, away) == ["apparmor", "engine"]


def test_the_profile_is_demanded_under_every_runtime() -> None:
    lacking = replace(ALL, apparmor=AppArmorKnown())
    assert missing(container(runtime="runsc"), lacking) == ["apparmor"]
    assert missing(container(runtime="runsc"), ALL) == []


def test_a_loopback_address_is_no_excuse_for_having_no_key() -> None:
    assert missing(FIT.model_copy(update={"host": "127.0.0.1"}), replace(ALL, valid_keys=0)) == [
        "api keys"
    ]


def test_the_key_of_images_is_named(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    found = check_production(container(image_public_key=key), ALL)
    assert any(str(key) in one.text for one in found)
