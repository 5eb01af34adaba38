from deployment.seccomp.measure import arguments_of, let_through, names_of

TRACE = """\
12 execve("/bin/true", ["true"], 0x7f) = 0
12 openat(AT_FDCWD, ""..., O_RDONLY|O_CLOEXEC) = 3
13 read(3,  <unfinished ...>
12 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED} ---
13 <... read resumed>""..., 100)        = 0
13 socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0 <unfinished ...>
13 <... futex resumed>)                 = 0
12 clone(child_stack=NULL, flags=CLONE_VM|SIGCHLD, child_tidptr=0x7f1234567890) = 14
12 pread64(3, ""..., 8, 0) = 8
13 +++ exited with 0 +++
getpid() = 1
"""


def test_the_names_in_a_trace_are_those_of_calls_begun_or_ended() -> None:
    assert names_of(TRACE.splitlines()) == {
        *("execve", "openat", "read", "socket", "futex", "clone", "pread64", "getpid")
    }


def test_arguments_are_kept_by_their_symbols_and_without_addresses() -> None:
    assert arguments_of(TRACE.splitlines()) == {
        "socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC)",
        "clone(CLONE_VM|SIGCHLD)",
    }


def test_what_needs_a_capability_or_another_machine_is_not_let_through() -> None:
    allow = "SCMP_ACT_ALLOW"
    profile = {
        "syscalls": [
            {"names": ["read", "write"], "action": allow},
            {"names": ["ptrace"], "action": allow, "includes": {"minKernel": "4.8"}},
            {"names": ["arch_prctl"], "action": allow, "includes": {"arches": ["amd64"]}},
            {"names": ["set_tls"], "action": allow, "includes": {"arches": ["arm"]}},
            {"names": ["mount"], "action": allow, "includes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
        ]
    }
    assert let_through(profile) == {"read", "write", "ptrace", "arch_prctl"}
