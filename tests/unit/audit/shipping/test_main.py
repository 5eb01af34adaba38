import json
import threading
from pathlib import Path

from tests.unit.audit.chains import lines, write

from hakoiri.audit.shipping.__main__ import serve, ship
from hakoiri.audit.shipping.configuration import ShipLaunch
from hakoiri.audit.shipping.courier import Courier
from hakoiri.audit.shipping.file_target import FileCopy
from hakoiri.audit.shipping.status import ShipStatus
from hakoiri.audit.told_file import read_told

MADE = lines(5)


def told(event: str, **fields: object) -> None:
    del event, fields


def test_every_target_is_served_and_what_it_has_is_told(tmp_path: Path) -> None:
    chain, share = tmp_path / "server", tmp_path / "share"
    chain.mkdir()
    share.mkdir()
    write(chain, MADE)
    launch = ShipLaunch.model_validate(
        {
            "instance": "i1",
            "chains": {"server": chain},
            "state_dir": tmp_path,
            "status_file": tmp_path / "status.json",
            "targets": [{"name": "share", "kind": "file", "directory": share}],
        }
    )
    stopping = threading.Event()

    class Copy(FileCopy):
        def send(self, *given: object) -> None:
            super().send(*given)  # type: ignore[arg-type]
            stopping.set()

    courier = Courier(
        name="share",
        kind="file",
        target=Copy(share, instance="i1"),
        chains=launch.chains,
        places_file=tmp_path / "share.json",
        tell=told,
    )
    ship([courier], launch, stopping)
    status = read_told(launch.status_file, ShipStatus)
    assert status is not None
    assert [one.name for one in status.targets] == ["share"]
    copied = share / "i1" / "server" / f"{1:015d}.jsonl"
    assert [json.loads(line)["unmapped"]["turn"] for line in copied.read_text().splitlines()] == [
        1,
        2,
        3,
        4,
        5,
    ]


def test_a_courier_stops_when_it_is_told_to(tmp_path: Path) -> None:
    stopping = threading.Event()
    stopping.set()
    courier = Courier(
        name="share",
        kind="file",
        target=FileCopy(tmp_path, instance="i1"),
        chains={},
        places_file=tmp_path / "share.json",
        tell=told,
    )
    serve(courier, stopping)
