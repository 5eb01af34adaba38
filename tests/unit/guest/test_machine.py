import json
from pathlib import Path

import pytest
from tests.guest.guest_disk import GuestError
from tests.guest.machine import records_of, run_to_its_end

NONCE = "0123"


def said(*records: dict[str, str]) -> str:
    return "\r\n".join(json.dumps(record) for record in records)


BEGIN, END = {"kind": "begin", "nonce": NONCE}, {"kind": "end", "nonce": NONCE}


def test_the_records_between_beginning_and_end_are_the_runs() -> None:
    assert records_of(said(BEGIN, {"kind": "x"}, END), NONCE, "") == [{"kind": "x"}]


@pytest.mark.parametrize(
    "text",
    [
        "",
        said(BEGIN),
        said(BEGIN, {"kind": "x"}),
        said({"kind": "begin", "nonce": "of yesterday"}, {"kind": "end", "nonce": "of yesterday"}),
        said({"kind": "begin", "nonce": "of yesterday"}, END),
        said(BEGIN, END) + "\n{broken",
    ],
)
def test_a_run_that_did_not_end_or_was_another_is_none(text: str) -> None:
    with pytest.raises(GuestError, match="last words"):
        records_of(text, NONCE, "last words")


def test_a_machine_that_ends_badly_is_told_with_its_last_words(tmp_path: Path) -> None:
    run_to_its_end(["true"], tmp_path, limit_s=60)
    with pytest.raises(GuestError, match="no such drive"):
        run_to_its_end(["sh", "-c", "echo no such drive >&2; exit 1"], tmp_path, limit_s=60)


def test_a_machine_that_does_not_end_is_told_with_its_console(tmp_path: Path) -> None:
    (tmp_path / "console").write_text("panic: no root")
    with pytest.raises(GuestError, match="panic: no root"):
        run_to_its_end(["tail", "-f", "/dev/null"], tmp_path, limit_s=0)
