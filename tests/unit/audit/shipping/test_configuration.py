import pytest

from hakoiri.audit.shipping.configuration import (
    S3Target,
    ShipFileError,
    ShipLaunch,
    parse_ship_file,
)

SECRET = "planted-ship-secret"
S3 = f"""
[[target]]
name = "archive"
kind = "s3"
bucket = "audit"
access_key_id = "AKIDEXAMPLE"
secret_access_key = "{SECRET}"
"""


def test_a_file_names_its_targets() -> None:
    found = parse_ship_file(
        S3
        + """
[[target]]
name = "siem"
kind = "syslog"
address = "tls://siem.example.test:6514"
ca_file = "/etc/ssl/siem.pem"

[[target]]
name = "share"
kind = "file"
directory = "/mnt/audit"
"""
    )
    assert [one.name for one in found.target] == ["archive", "siem", "share"]
    archive = found.target[0]
    assert isinstance(archive, S3Target)
    assert (archive.retain_days, archive.mode) == (365, "COMPLIANCE")


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "target"),
        ("target = 5", "target"),
        ("[[target]]\nname = 'x'\nkind = 'carrier-pigeon'", "target"),
        (S3 + "tls = false", "tls"),
        (S3 + S3, "same name"),
        (S3.replace("archive", "Archive!"), "name"),
        (S3 + "retain_days = 0", "retain_days"),
        (S3 + "mode = 'NONE'", "mode"),
        (S3 + "endpoint = 'http://store.example.test'", "loopback"),
        ("[[target]]\nname='a'\nkind='syslog'\naddress='udp://h:514'", "unix:///PATH"),
        ("[[target]]\nname='a'\nkind='syslog'\naddress='tcp://h'", "unix:///PATH"),
        ("[[target]]\nname='a'\nkind='syslog'\naddress='tcp://h:1'\nca_file='/x'", "ca_file"),
        ("[[target]]\nname='a'\nkind='file'\ndirectory='audit'", "absolute"),
        ("[[target]", "no TOML"),
    ],
)
def test_what_cannot_be_meant_is_refused_without_a_secret(text: str, field: str) -> None:
    with pytest.raises(ShipFileError, match=field) as refused:
        parse_ship_file(text)
    assert SECRET not in str(refused.value)


def test_the_secret_goes_to_the_shipper_and_nowhere_else() -> None:
    launch = ShipLaunch.model_validate(
        {
            "instance": "i1",
            "chains": {"server": "/a/server"},
            "state_dir": "/a/shipper",
            "status_file": "/r/status.json",
            "targets": parse_ship_file(S3).target,
        }
    )
    assert SECRET not in repr(launch)
    assert SECRET not in str(launch.model_dump())
    handed = ShipLaunch.model_validate_json(launch.model_dump_json())
    (target,) = handed.targets
    assert isinstance(target, S3Target)
    assert target.secret_access_key.get_secret_value() == SECRET
