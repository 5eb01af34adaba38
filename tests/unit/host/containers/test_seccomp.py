import json

import pytest

from hakoiri.host.containers.seccomp import SeccompProfileError, filter_for

WHITELIST = json.dumps(
    {
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [
            {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
        ],
    }
)


def test_without_a_profile_runc_has_the_engines_default_and_runsc_one_of_ours() -> None:
    assert filter_for("runc", None) is None
    ours = json.loads(filter_for("runsc", None) or "")
    refused = {name for entry in ours["syscalls"] for name in entry["names"]}
    assert {"mount", "bpf", "keyctl", "io_uring_setup", "ptrace", "open_by_handle_at"} <= refused
    assert "clone3" not in refused


def test_a_profile_reaches_runc_as_it_is() -> None:
    assert json.loads(filter_for("runc", WHITELIST) or "") == json.loads(WHITELIST)


def test_under_runsc_clone3_reaches_the_kernel_that_says_enosys() -> None:
    entries = json.loads(filter_for("runsc", WHITELIST) or "")["syscalls"]
    assert {"names": ["clone3"], "action": "SCMP_ACT_ALLOW"} in entries
    assert [entry["action"] for entry in entries if "clone3" in entry["names"]] == [
        "SCMP_ACT_ALLOW"
    ]
    assert {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"} in entries


@pytest.mark.parametrize(
    ("profile", "named"),
    [
        ("", "JSON"),
        ("[]", "syscalls"),
        ("{}", "syscalls"),
        ('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}', "defaultAction"),
        ("[" * 100_000, "JSON"),
    ],
)
@pytest.mark.parametrize("runtime", ["runc", "runsc"])
def test_what_is_no_whitelist_is_refused(runtime: str, profile: str, named: str) -> None:
    with pytest.raises(SeccompProfileError, match=named):
        filter_for(runtime, profile)  # type: ignore[arg-type]
