from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from tests.conftest import give_up
from tests.engine import TestEngine
from tests.guest.bombs import BOMBS
from tests.guest.judgement import Record
from tests.guest.machine import reason_against_guest, run_guest
from tests.guest.mutants import COMPLAIN, MUTANTS, WITH_CAPABILITIES, changes_of
from tests.guest.trials import (
    BOUNDED,
    PROBE,
    PROFILE,
    TURN_ENVIRONMENT,
    open_body,
    profile_text,
    programs,
    sealed_body,
    without_limits,
)

from hakoiri.cli.doctor.engine_facts import run_docker


@pytest.fixture(scope="session")
def records(engine: TestEngine, image: str) -> Sequence[Record]:
    """What happened in one run of the guest, in which all is tried."""
    if reason := reason_against_guest():
        give_up(reason)
    image_id = run_docker(engine.docker_host, "image", "inspect", "--format={{.Id}}", image).strip()
    profiles = {
        "with-capabilities": profile_text("with-capabilities", WITH_CAPABILITIES),
        "complaining": profile_text("complaining", WITH_CAPABILITIES | COMPLAIN),
        **{name: profile_text(name, WITH_CAPABILITIES | changes_of(name)) for name in MUTANTS},
    }
    ruled = {"acts": "rules", "prepared": True}
    needing = {"acts": "capabilities", "prepared": True}
    trials: list[Mapping[str, Any]] = [
        {
            "name": "sealed",
            "body": sealed_body("sealed", image_id, environment=TURN_ENVIRONMENT),
            "agent": True,
            "acts": "rules",
            "programs": {"probe": PROBE} | programs(),
        },
        *(
            {"name": name, "body": open_body(name, image_id, profile=profile)} | ruled
            for name, profile in (("unconfined", "unconfined"), *((one, one) for one in profiles))
        ),
        *(
            {"name": name, "body": open_body(name, image_id, profile=profile)} | needing
            for name, profile in (
                ("capable-unconfined", "unconfined"),
                ("capable-confined", PROFILE),
                ("capable-opened", "with-capabilities"),
            )
        ),
        {
            "name": "bounded",
            "body": sealed_body("bounded", image_id, limits=BOUNDED),
            "programs": BOMBS,
        },
        {
            "name": "unbounded",
            "body": without_limits(sealed_body("unbounded", image_id, limits=BOUNDED)),
            "programs": BOMBS,
        },
    ]
    return run_guest(
        image_id=image_id, docker_host=engine.docker_host, profiles=profiles, trials=trials
    )
