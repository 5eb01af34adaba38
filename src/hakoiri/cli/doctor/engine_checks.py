"""What is judged about the container engine. All of it is pure: facts in, a finding out."""

from hakoiri.cli.doctor.engine_facts import EngineFacts
from hakoiri.cli.doctor.finding import Finding
from hakoiri.docker_guard.ownership import PLAIN, owner_told_by
from hakoiri.docker_guard.refusal import CallRefusedError
from hakoiri.docker_guard.runsc_flags import why_not_sealed
from hakoiri.host.containers.confinement import ConfinementState, judge_confinement
from hakoiri.host.launch import AppArmorKnown

RUNSC_MEND = (
    'register it in the engine\'s daemon.json: "runtimes": {"runsc": {"path": "/usr/bin/runsc", '
    '"runtimeArgs": ["--network=none", "--host-uds=all", "--oci-seccomp"]}}, then reload the engine'
)
REMAP_MEND = (
    'set "userns-remap": "default" in the engine\'s daemon.json, restart it and build the image '
    "again; how to go there and back: docs/operations/userns-remap.md"
)
SLOW_STORAGE = frozenset({"vfs", "devicemapper", "aufs"})


def check_engine(engine: EngineFacts) -> Finding:
    """The engine answers."""
    return Finding.ok("engine", f"Docker {engine.version} answers")


def engine_away(docker_host: str, reason: str) -> Finding:
    """The engine does not answer, so nothing else can be said of it."""
    return Finding.missing(
        "engine",
        f"nothing usable at {docker_host}: {reason}",
        mend="`make setup` starts one; HAKOIRI_DOCKER_HOST names another",
    )


def check_limits(engine: EngineFacts) -> Finding:
    """Memory, swap, processor and process limits work; either cgroup version will do."""
    text = f"cgroup v{engine.cgroup_version}"
    if not engine.lacking_limits:
        return Finding.ok("cgroup", f"{text}; limits work")
    return Finding.missing(
        "cgroup",
        f"{text}; the engine cannot limit {', '.join(engine.lacking_limits)}",
        mend="enable these cgroup controllers (boot with cgroup_enable=memory swapaccount=1)",
    )


def check_storage(engine: EngineFacts) -> Finding:
    """The storage driver shares image layers between containers."""
    if engine.storage_driver in SLOW_STORAGE:
        return Finding.warning(
            "storage",
            f"{engine.storage_driver}: each container copies the whole image",
            mend="give the engine a disk on which overlay2 works",
        )
    return Finding.ok("storage", engine.storage_driver)


def check_seccomp(engine: EngineFacts) -> Finding:
    """The engine can filter system calls. Which filter our containers get, `check_filter` tells."""
    seccomp = engine.security_option("seccomp")
    if seccomp is None:
        return Finding.missing(
            "seccomp",
            "the engine has no seccomp",
            mend="use a kernel with CONFIG_SECCOMP_FILTER and an engine built with seccomp",
        )
    profile = seccomp.get("profile", "default")
    if profile == "unconfined":
        return Finding.warning(
            "seccomp",
            "the engine can, but gives none by default: containers that are not ours have none",
            mend="remove seccomp-profile from the engine's daemon.json",
        )
    return Finding.ok("seccomp", "the engine applies filters")


def check_apparmor(engine: EngineFacts, *, kernel: AppArmorKnown, profile: str | None) -> Finding:
    """Containers are confined by AppArmor, too, under the profile that the setting names."""
    found = judge_confinement(
        profile=profile, kernel=kernel, engine_options=engine.security_option_names()
    )
    if found.state is ConfinementState.CONFINED:
        return Finding.ok("apparmor", found.reason)
    return Finding.warning("apparmor", found.reason, mend=found.mend)


def check_user_namespace(engine: EngineFacts) -> Finding:
    """Root in a container is nobody on the host."""
    told = {
        "SecurityOptions": engine.security_options,
        "DockerRootDir": engine.root_directory,
    }
    try:
        owner = owner_told_by(told)
    except CallRefusedError as error:
        return Finding.missing("userns-remap", error.detail, mend=REMAP_MEND)
    if owner != PLAIN:
        return Finding.ok("userns-remap", f"on; our containers' user is {owner.uid}:{owner.gid}")
    return Finding.warning(
        "userns-remap",
        "off; a container's user ids are the host's (ours run as 1000, never as root)",
        mend=REMAP_MEND,
    )


def check_runc(engine: EngineFacts) -> Finding:
    """The default runtime is registered."""
    if "runc" in engine.runtimes:
        return Finding.ok("runc", "registered")
    return Finding.missing("runc", "not registered", mend="reinstall the engine's runc")


def check_runsc(engine: EngineFacts, *, needed: bool) -> Finding:
    """Runsc is registered with the flags that our sockets and filters need."""
    arguments = engine.runtimes.get("runsc")
    if arguments is None:
        text = "not registered; containers share the host's kernel"
    elif (why := why_not_sealed(arguments)) is not None:
        text = f"registered {why}"
    else:
        return Finding.ok("runsc", f"registered with {' '.join(arguments)}")
    judge = Finding.missing if needed else Finding.warning
    return judge("runsc", text, mend=RUNSC_MEND)


def check_image(reference: str, *, present: bool) -> Finding:
    """The workspace image is there."""
    if present:
        return Finding.ok("image", f"{reference} is built")
    return Finding.missing("image", f"{reference} is not built", mend="`hakoiri image build`")
