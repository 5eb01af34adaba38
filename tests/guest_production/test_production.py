"""A host that is set up by the guide: it starts, a turn passes, and no point is left that it could
close. Each layer that can be taken away there is, and then it does not start."""

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest
from tests.guest.judgement import Record, of_kind
from tests.guest_production.guide import UNDOINGS, steps
from tests.guest_production.judgement import UNDER, left_open, refusals

pytestmark = [pytest.mark.guest, pytest.mark.engine, pytest.mark.root, pytest.mark.timeout(4000)]

CONFINED = "workspace-container (enforce)"
REMAPPED = ["0", "165536", "65536"]
STEPS = tuple(one.name for one in steps(access_key_id="", secret=""))


def events_of(turn: Record) -> list[dict[str, Any]]:
    """Return the events of the turn's stream."""
    assert turn["code"] == 0, turn
    lines = [line for line in turn["out"].splitlines() if line.startswith("data:")]
    assert lines, turn
    return [json.loads(line.removeprefix("data:")) for line in lines]


@pytest.mark.parametrize("name", [*STEPS, "start the model", "start", "stop"])
def test_each_step_of_the_guide_is_done(records: Sequence[Record], name: str) -> None:
    done = of_kind(records, "step", name)
    assert done["code"] == 0, done


def test_the_release_that_was_made_outside_is_the_one_that_the_installer_took(
    records: Sequence[Record],
) -> None:
    (release,) = (one for one in records if one["kind"] == "release")
    said = of_kind(records, "step", "install")["out"]
    assert f"the current release is {release['name']}" in said
    assert "Python packages" not in said


def test_without_its_layers_it_does_not_start_and_names_each(records: Sequence[Record]) -> None:
    found = of_kind(records, "undone", "all")
    done = [*found["undone"].values(), *found["redone"].values()]
    assert [one for one in done if one["code"] != 0] == []
    lines = found["tried"]["err"].splitlines()
    named = [line.split(": ")[2] for line in lines if line.startswith("hakoiri serve: production:")]
    assert (found["tried"]["code"], named) == (2, [one.point for one in UNDOINGS]), found["tried"]
    assert all("; mend: " in line for line in lines)


def test_with_all_layers_it_starts_and_is_ready(records: Sequence[Record]) -> None:
    ready = of_kind(records, "ready", "runc")
    assert ready["is_ready"], (ready, of_kind(records, "journal", "hakoiri")["out"][-6000:])
    told = json.loads(ready["out"].rpartition(" ")[0])
    assert told["apparmor"]["state"] == "confined"


def test_a_turn_of_the_real_cli_passes(records: Sequence[Record]) -> None:
    events = events_of(of_kind(records, "turn", "runc"))
    assert events[-1]["type"] == "result", events[-3:]


def test_the_clis_shell_sees_itself_confined_and_remapped(records: Sequence[Record]) -> None:
    events = events_of(of_kind(records, "turn", "runc"))
    (result,) = (one["data"] for one in events if one["type"] == "tool_result")
    told = json.dumps(result)
    assert CONFINED in told
    assert re.search(r"\b0 +165536 +65536\b", told)


def test_every_process_of_the_containers_is_confined_and_remapped(
    records: Sequence[Record],
) -> None:
    processes = of_kind(records, "turn", "runc")["processes"]
    assert any("workspace_agent" in one["args"] for one in processes)
    assert any("claude" in one["args"] for one in processes)
    assert {one["label"] for one in processes} == {CONFINED}
    assert {tuple(one["uid_map"]) for one in processes} == {tuple(REMAPPED)}
    assert {one["uid"] for one in processes} == {165536 + 1000}


def test_nothing_is_left_of_containers_after_a_stop(records: Sequence[Record]) -> None:
    assert of_kind(records, "step", "stop")["out"] == ""


def test_the_profile_refused_the_probe_and_nothing_of_the_turn(records: Sequence[Record]) -> None:
    (kernel,) = (one for one in records if one["kind"] == "kernel")
    refused = refusals(kernel["out"], profile="workspace-container")
    began_s, ended_s = of_kind(records, "turn", "runc")["span_s"]
    assert [line for at_s, line in refused if at_s < began_s], "the probe's were told"
    assert [line for at_s, line in refused if began_s <= at_s <= ended_s] == []


@pytest.mark.parametrize("runtime", sorted(UNDER))
def test_no_point_is_left_that_the_host_could_close(
    records: Sequence[Record], runtime: str
) -> None:
    told = of_kind(records, "doctor", runtime)
    report = json.loads(told["out"])
    assert left_open(report["findings"], runtime=runtime) == []
    assert (told["code"], report["ok"]) == (0, True)
