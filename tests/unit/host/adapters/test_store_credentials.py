import base64
import os
from pathlib import Path

import pytest

from hakoiri.host.adapters.private_file import LIMIT_BYTES
from hakoiri.host.adapters.store_credentials import (
    StoreCredentials,
    read_store_credentials,
)
from hakoiri.host.files.ports import FilesError

SECRET = "planted-store-secret"
KEY = base64.b64encode(bytes(32)).decode()
GOOD = f'access_key_id = "AKID"\nsecret_access_key = "{SECRET}"\n'


def file_of(directory: Path, content: str = GOOD, *, mode: int = 0o640) -> Path:
    path = directory / "store.toml"
    path.write_text(content)
    path.chmod(mode)
    return path


def read(path: Path) -> StoreCredentials:
    return read_store_credentials(path, owner_uid=os.getuid())


def test_a_good_file_is_read_and_its_secrets_do_not_show(tmp_path: Path) -> None:
    more = f'session_token = "token-{SECRET}"\ncustomer_key = "{KEY}"\n'
    credentials = read(file_of(tmp_path, GOOD + more))
    assert credentials.secret_access_key.get_secret_value() == SECRET
    assert credentials.customer_key is not None
    assert SECRET not in repr(credentials) + str(credentials)
    assert KEY not in repr(credentials)


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o641, 0o604])
def test_a_file_that_others_may_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(FilesError, match="chmod 0640"):
        read(file_of(tmp_path, mode=mode))


def test_a_file_of_another_owner_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FilesError, match="must belong to root"):
        read_store_credentials(file_of(tmp_path), owner_uid=os.getuid() + 1)


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(file_of(tmp_path))
    os.mkfifo(tmp_path / "fifo", 0o600)
    (tmp_path / "directory").mkdir(mode=0o700)
    for name in ("link", "fifo", "directory", "missing"):
        with pytest.raises(FilesError, match=rf"object_store\.credentials_file: .*{name}"):
            read(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("", "access_key_id, secret_access_key"),
        (f'access_key_id = "A B"\nsecret_access_key = "{SECRET}"', "access_key_id"),
        (f'access_key_id = 7\nsecret_access_key = "{SECRET}"', "access_key_id"),
        (f'{GOOD}"{SECRET}" = "x"', "another field"),
        (f'{GOOD}customer_key = "{SECRET}"', "customer_key"),
        (f'{GOOD}customer_key = "{base64.b64encode(bytes(31)).decode()}"', "customer_key"),
        (f"{GOOD}{SECRET}", "not TOML"),
        ("\x00", "not TOML"),
        ("a" * (LIMIT_BYTES + 1), "is over"),
    ],
)
def test_a_bad_file_is_named_by_its_field_and_never_by_what_is_in_it(
    tmp_path: Path, content: str, named: str
) -> None:
    with pytest.raises(FilesError, match=named) as caught:
        read(file_of(tmp_path, content))
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or SECRET not in repr(caught.value.__context__)
