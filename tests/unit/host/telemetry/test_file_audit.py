from hakoiri.audit.testing import MemoryAudit
from hakoiri.host.telemetry import file_audit
from hakoiri.host.telemetry.file_audit import FileAudit


def save(files: FileAudit, workspace: str, point: str) -> None:
    files.saved(tenant="acme", workspace=workspace, recovery_point=point, details={"uploaded": 1})


def fail(files: FileAudit) -> None:
    files.save_failed(tenant="acme", workspace="w1", error=OSError("planted words"))


def test_a_recovery_point_is_told_once() -> None:
    audit = MemoryAudit()
    files = FileAudit(audit)
    for workspace, point in (("w1", "a"), ("w1", "a"), ("w2", "a"), ("w1", "b")):
        save(files, workspace, point)
    assert [(one.workspace, one.details["recovery_point"]) for one in audit.events] == [
        ("w1", "a"),
        ("w2", "a"),
        ("w1", "b"),
    ]


def test_that_saving_fails_is_told_once_until_it_works_again() -> None:
    audit = MemoryAudit()
    files = FileAudit(audit)
    fail(files)
    fail(files)
    save(files, "w1", "a")
    fail(files)
    assert [one.succeeded for one in audit.events] == [False, True, False]
    assert "planted words" not in str(audit.events)


def test_a_quota_that_was_hit_is_told() -> None:
    audit = MemoryAudit()
    FileAudit(audit).quota_hit(tenant="acme", workspace="w1")
    assert audit.kinds() == ["quota_hit"]
    assert audit.events[0].details == {"kind": "disk"}


def test_only_so_many_workspaces_are_remembered() -> None:
    audit = MemoryAudit()
    files = FileAudit(audit)
    for number in range(file_audit.REMEMBERED_LIMIT + 1):
        save(files, f"w{number}", "a")
    told = len(audit.events)
    save(files, f"w{file_audit.REMEMBERED_LIMIT}", "a")
    assert len(audit.events) == told
    save(files, "w0", "a")
    assert len(audit.events) == told + 1, "the oldest was forgotten"
