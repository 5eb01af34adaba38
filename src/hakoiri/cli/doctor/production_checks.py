"""What production needs beyond a start: every layer there and known to be. Facts in, findings out.

What cannot be told is missing: in production nobody looks again. What refuses any start (keys off
loopback, a wider filter, readable secrets) is not repeated here.
"""

from dataclasses import dataclass
from typing import Final

from hakoiri.cli.doctor.engine_checks import check_user_namespace
from hakoiri.cli.doctor.engine_facts import EngineFacts
from hakoiri.cli.doctor.finding import Finding, State
from hakoiri.host.containers.confinement import ConfinementState, judge_confinement
from hakoiri.host.launch import AppArmorKnown
from hakoiri.host.settings import Settings

PREFIX: Final = "production: "
EVERYBODY: Final = 0o007


@dataclass(frozen=True, slots=True)
class ProductionFacts:
    """All that is judged, beside the settings."""

    apparmor: AppArmorKnown
    engine: EngineFacts | None
    engine_problem: str
    """Why `engine` is None; empty otherwise."""

    engine_socket_mode: int | None
    """Permission bits; None if it is not a socket on this host, or not there."""

    kernel_log_is_readable: bool
    valid_keys: int | None
    """API keys that are not revoked; None if the database did not say."""


def check_production(settings: Settings, facts: ProductionFacts) -> list[Finding]:
    """Return one finding for each need, in the order of the layers."""
    return [
        _confinement(settings, facts),
        *_engine(facts),
        _engine_socket(facts.engine_socket_mode),
        _kernel_log(readable=facts.kernel_log_is_readable),
        _probe(at_start=settings.container.probe_at_start),
        _audit_log(enabled=settings.audit.enabled),
        _signatures(settings),
        _model(settings.model.provider),
        _keys(facts.valid_keys),
    ]


def _ok(name: str, text: str) -> Finding:
    return Finding.ok(PREFIX + name, text)


def _missing(name: str, text: str, *, mend: str) -> Finding:
    return Finding.missing(PREFIX + name, text, mend=mend)


def _confinement(settings: Settings, facts: ProductionFacts) -> Finding:
    # of `runsc`, too: the profile is demanded, whatever runtime ignores it today
    found = judge_confinement(
        profile=settings.container.apparmor_profile,
        kernel=facts.apparmor,
        engine_options=facts.engine.security_option_names() if facts.engine else None,
    )
    if found.state is ConfinementState.CONFINED:
        return _ok("apparmor", found.reason)
    return _missing("apparmor", found.reason, mend=found.mend)


def _engine(facts: ProductionFacts) -> list[Finding]:
    engine = facts.engine
    if engine is None:
        text = f"the engine does not answer: {facts.engine_problem}"
        return [_missing("engine", text, mend="start it; `hakoiri doctor` says more")]
    return [_seccomp(engine), _user_namespace(engine), _limits(engine)]


def _seccomp(engine: EngineFacts) -> Finding:
    if engine.security_option("seccomp") is not None:
        return _ok("seccomp", "the engine applies filters")
    return _missing(
        "seccomp",
        "the engine cannot filter system calls",
        mend="use a kernel with CONFIG_SECCOMP_FILTER and an engine built with seccomp",
    )


def _user_namespace(engine: EngineFacts) -> Finding:
    found = check_user_namespace(engine)
    if found.state is State.OK:
        return _ok("userns-remap", found.text)
    return _missing("userns-remap", found.text, mend=found.mend)


def _limits(engine: EngineFacts) -> Finding:
    if not engine.lacking_limits:
        return _ok("limits", "memory, swap, processor and processes can be limited")
    return _missing(
        "limits",
        f"the engine cannot limit {', '.join(engine.lacking_limits)}",
        mend="enable these cgroup controllers (boot with cgroup_enable=memory swapaccount=1)",
    )


def _engine_socket(mode: int | None) -> Finding:
    if mode is None:
        return _missing(
            "engine socket", "it is not there", mend="name it in HAKOIRI_DOCKER_HOST, unix://PATH"
        )
    if mode & EVERYBODY:
        return _missing(
            "engine socket",
            f"everybody can open it (mode {mode:04o}), and so go round the guard and be root",
            mend="`chmod o-rwx` it",
        )
    return _ok("engine socket", f"mode {mode:04o}")


def _kernel_log(*, readable: bool) -> Finding:
    if readable:
        return _ok("kernel log", "calls for which the filter kills a process are told")
    return _missing(
        "kernel log",
        "/dev/kmsg cannot be read, so calls for which the filter kills a process are not told",
        mend="run as root, on the host",
    )


def _probe(*, at_start: bool) -> Finding:
    if at_start:
        return _ok("probe", "a box is tried from inside when the server starts")
    return _missing(
        "probe",
        "no box is tried from inside when the server starts",
        mend="unset HAKOIRI_CONTAINER__PROBE_AT_START",
    )


def _audit_log(*, enabled: bool) -> Finding:
    if enabled:
        return _ok("audit log", "who did what is kept")
    return _missing("audit log", "none is kept", mend="unset HAKOIRI_AUDIT__ENABLED")


def _signatures(settings: Settings) -> Finding:
    key = settings.container.image_public_key
    if key is not None:
        return _ok("image signature", f"only an image signed with {key} is run")
    return _missing(
        "image signature",
        "any image under the name is run, signed or not",
        mend="`hakoiri image sign`, and name the key in HAKOIRI_CONTAINER__IMAGE_PUBLIC_KEY",
    )


def _model(provider: str) -> Finding:
    if provider != "rehearsal":
        return _ok("model", provider)
    return _missing(
        "model",
        "the rehearsal model answers, from a script",
        mend="set HAKOIRI_MODEL__PROVIDER to bedrock or anthropic",
    )


def _keys(valid: int | None) -> Finding:
    if valid is None:
        return _missing(
            "api keys",
            "cannot tell whether there is one: the database does not answer",
            mend="see HAKOIRI_DATABASE_URL and the data directory",
        )
    if valid == 0:
        return _missing(
            "api keys",
            "there is none, so everybody on this machine is served",
            mend="`hakoiri key create NAME`",
        )
    return _ok("api keys", f"{valid} valid; no request is served without one")
