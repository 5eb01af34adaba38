"""What is seen of the containers, and what is remembered of those that are gone."""

from types import SimpleNamespace
from typing import Any, cast

from hakoiri.host.containers.gc import Member
from hakoiri.host.containers.unsaved import UnsavedAges
from hakoiri.host.fleet_sight import FleetSight


def test_a_save_forgets_whose_container_is_gone_even_if_nobody_asks_for_the_ages() -> None:
    members: list[Member] = []
    fleet = SimpleNamespace(orchestrator=SimpleNamespace(members=lambda: members))
    unsaved = UnsavedAges()
    sight = FleetSight(cast("Any", fleet), cast("Any", None), unsaved)
    sight.saved("w-gone", 1_000.0)
    sight.saved("w-other", 1_001.0)
    back = Member("c2", "w-gone", started_at_s=500, idle_since_s=None, is_unsaved=False)
    assert unsaved.look([back], now_s=2_000) == [1_500], "the save of long ago was still known"


def test_a_save_of_a_live_one_is_remembered() -> None:
    member = Member("c1", "w1", started_at_s=0, idle_since_s=None, is_unsaved=False)
    fleet = SimpleNamespace(orchestrator=SimpleNamespace(members=lambda: [member]))
    unsaved = UnsavedAges()
    sight = FleetSight(cast("Any", fleet), cast("Any", None), unsaved)
    sight.saved("w1", 1_000.0)
    assert unsaved.look([member], now_s=1_250) == [250]
