import os
from pathlib import Path

import pytest
from tests.unit.cli.supervisor.test_processes import ground, load

from hakoiri.audit.shipping.configuration import ShipLaunch
from hakoiri.cli.supervisor.audit_ground import AuditGround
from hakoiri.cli.supervisor.audit_shipping import read_ship_file, shipper_process, shipper_spec
from hakoiri.cli.supervisor.preparation import Account, PreparationError

SECRET = "planted-ship-secret"
TEXT = f"""
[[target]]
name = "archive"
kind = "s3"
bucket = "audit"
access_key_id = "AKIDEXAMPLE"
secret_access_key = "{SECRET}"
"""


def ship_file(directory: Path, text: str = TEXT, *, mode: int = 0o600) -> Path:
    path = directory / "ship.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_shipper_has_its_targets_and_no_right_to_write_a_chain(tmp_path: Path) -> None:
    settings, made = load(tmp_path), ground(tmp_path)
    audit = AuditGround(tmp_path / "audit" / "i1")
    targets = read_ship_file(ship_file(tmp_path), owner_uid=os.getuid())
    shipper = Account("shipper", 911, 912)
    spec = shipper_spec(settings, made, audit, targets=targets, shipper=shipper)
    launch = ShipLaunch.model_validate_json(spec.standard_input)
    assert launch.chains == {**audit.chains, "heads": audit.heads}
    assert next(iter(launch.chains)) == "heads", "so that no head is copied before its lines"
    assert launch.state_dir == audit.shipper
    assert launch.status_file.is_relative_to(made.run_dir)
    assert (spec.uid, spec.gid, spec.groups, spec.capabilities) == (911, 912, (908, 902), ())
    assert {audit.keeper, settings.data_dir} <= set(spec.hidden)
    assert SECRET not in str((spec.arguments, spec.environment))


def test_without_a_file_there_is_none(tmp_path: Path) -> None:
    audit = AuditGround(tmp_path / "audit" / "i1")
    assert shipper_process(load(tmp_path), ground(tmp_path), audit) is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_can_open_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(PreparationError, match=r"HAKOIRI_AUDIT__SHIP_FILE.*chmod 600"):
        read_ship_file(ship_file(tmp_path, mode=mode), owner_uid=os.getuid())


def test_a_file_that_is_somebody_elses_a_link_or_wrong_is_refused(tmp_path: Path) -> None:
    path = ship_file(tmp_path)
    with pytest.raises(PreparationError, match="root's alone"):
        read_ship_file(path, owner_uid=os.getuid() + 1)
    link = tmp_path / "link.toml"
    link.symlink_to(path)
    with pytest.raises(PreparationError, match="cannot read"):
        read_ship_file(link, owner_uid=os.getuid())
    with pytest.raises(PreparationError, match="bucket") as refused:
        read_ship_file(ship_file(tmp_path, TEXT.replace('"audit"', '"A"')), owner_uid=os.getuid())
    assert SECRET not in str(refused.value)
    with pytest.raises(PreparationError, match="is over"):
        read_ship_file(ship_file(tmp_path, "#" * 70_000), owner_uid=os.getuid())
