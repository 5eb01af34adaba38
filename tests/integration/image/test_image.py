"""The workspace image as it is: looked at from inside, and layer by layer."""

import json
import subprocess
from pathlib import Path

import pytest
from tests.engine import TestEngine

from hakoiri.image.build import image_tag
from hakoiri.image.engine import Engine
from hakoiri.image.saved_image import read_saved_image

pytestmark = pytest.mark.engine


def _of(image: str, command: tuple[str, ...]) -> list[str]:
    return [command[0], image, *command[1:]]


def inside(image: str, *command: str, user: str | None = None) -> str:
    """Run a command in a sealed container of the image; return what it says."""
    sealing = ["--network=none", "--read-only", "--cap-drop=ALL", "--tmpfs=/tmp"]
    as_user = [] if user is None else [f"--user={user}"]
    finished = subprocess.run(
        ["docker", "run", "--rm", *sealing, *as_user, "--entrypoint", *_of(image, command)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-2000:]
    return finished.stdout.strip()


def shell(image: str, script: str, *, user: str | None = None) -> str:
    return inside(image, "sh", "-c", script, user=user)


def test_the_tag_is_that_of_the_sources_and_nothing_is_built_again(image: str) -> None:
    assert image == image_tag(Path(__file__).parents[3])


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("python3 --version", "Python 3.11."),
        ("/opt/hakoiri/bin/python --version", "Python 3.11."),
        ("node --version", "v18."),
        ("npm --version", ""),
        ("git --version", "git version"),
        ("rg --version", "ripgrep"),
        ("curl --version", "curl"),
        ("jq --version", "jq-"),
        ("gcc --version", "gcc"),
        ("python3 -m pip --version", "pip"),
        ("python3 -m venv /tmp/v && /tmp/v/bin/python -m pip --version", "pip"),
        ("/opt/hakoiri/lib/python3.11/site-packages/claude_agent_sdk/_bundled/claude -v", "2."),
    ],
)
def test_the_tools_run(image: str, command: str, answer: str) -> None:
    assert shell(image, command).startswith(answer)


def test_a_c_program_is_compiled_and_runs(image: str) -> None:
    program = '#include <stdio.h>\nint main(void) { puts("made here"); }'
    command = ("sh", "-c", f"printf '%s' '{program}' > a.c && gcc a.c && ./a.out")
    finished = subprocess.run(
        ["docker", "run", "--rm", "--network=none", "--entrypoint", *_of(image, command)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.stdout == "made here\n", finished.stderr


@pytest.mark.parametrize("directory", ["/", "/workspace", "/usr/share", "/home/agent"])
def test_node_starts_in_any_directory_with_the_proxy_required(image: str, directory: str) -> None:
    script = "console.log(typeof global.GLOBAL_AGENT.HTTP_PROXY, global.GLOBAL_AGENT.HTTP_PROXY)"
    said = shell(image, f"cd {directory} && node -e '{script}'")
    assert said == "string http://127.0.0.1:3128"


def test_programs_are_told_of_the_proxy(image: str) -> None:
    environment = dict(line.split("=", 1) for line in shell(image, "env").splitlines())
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        assert environment[name] == "http://127.0.0.1:3128"
        assert environment[f"GLOBAL_AGENT_{name.upper()}"] == "http://127.0.0.1:3128"
    assert "127.0.0.1" in environment["NO_PROXY"]
    assert environment["no_proxy"] == environment["NO_PROXY"]


def test_the_user_is_1000_with_a_home_and_a_workspace_of_its_own(image: str) -> None:
    assert shell(image, "id -u; id -g; id -un; echo $HOME; pwd").split() == [
        "1000",
        "1000",
        "agent",
        "/home/agent",
        "/workspace",
    ]
    owned = shell(image, "stat -c '%U:%G' /home/agent /workspace").split()
    assert owned == ["agent:agent", "agent:agent"]


def test_only_the_wire_and_the_agent_are_of_hakoiri(image: str) -> None:
    script = (
        "import hakoiri, pkgutil; print(*(m.name for m in pkgutil.iter_modules(hakoiri.__path__)))"
    )
    assert inside(image, "/opt/hakoiri/bin/python", "-I", "-c", script) == "wire workspace_agent"
    assert shell(image, "find / -xdev -path '*hakoiri/host*' 2>/dev/null || true") == ""


def test_python_has_compiled_everything_the_agent_imports(image: str) -> None:
    """The root is read-only: what is not compiled now is compiled at each start."""
    script = (
        "import sys, pathlib, hakoiri.workspace_agent.app, hakoiri.workspace_agent.sdk_client\n"
        "lacking = [n for n, m in sys.modules.items() if (c := getattr(m, '__cached__', None))"
        " and c.startswith('/opt') and not pathlib.Path(c).exists()]\n"
        "print(lacking)"
    )
    assert inside(image, "/opt/hakoiri/bin/python", "-I", "-c", script) == "[]"


def test_nothing_is_set_id_or_writable_by_all_or_has_capabilities(image: str) -> None:
    found = shell(
        image,
        r"find / -xdev \( -type f -o -type d \) \( -perm /6000 -o -perm -0002 \) ! -path /tmp",
        user="0",
    )
    assert found == ""
    script = (
        "import os\n"
        "for base, _, names in os.walk('/usr'):\n"
        "    for name in names:\n"
        "        path = os.path.join(base, name)\n"
        "        if not os.path.islink(path) and os.listxattr(path): print(path)"
    )
    assert inside(image, "python3", "-c", script, user="0") == ""


def test_nothing_outside_home_and_workspace_belongs_to_the_agent(image: str) -> None:
    script = r"find / -xdev -user 1000 ! -path '/home/agent*' ! -path '/workspace' ! -path '/tmp*'"
    assert shell(image, script, user="0") == ""


def test_no_cache_and_no_trace_of_the_builder_is_left(image: str) -> None:
    caches = "/var/cache /var/log /var/lib/apt/lists /root/.cache /root/.npm /home/agent/.cache"
    assert shell(image, f"find {caches} -type f ! -name lock 2>/dev/null || true", user="0") == ""
    configuration = "/etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/auth.conf.d"
    more = "/etc/pip.conf /etc/npmrc /root/.npmrc /home/agent/.npmrc /root/.config"
    assert shell(image, f"find {configuration} {more} -type f 2>/dev/null || true", user="0") == ""


def test_no_layer_ever_held_a_module_of_the_host(engine: TestEngine, image: str) -> None:
    with Engine(engine.docker_host).saved(image) as archive:
        paths = [entry.path for entry in read_saved_image(archive)]
    assert len(paths) > 10_000, "the layers were really read"
    assert [path for path in paths if "hakoiri/host" in path] == []


def test_the_images_configuration_holds_no_secret_and_no_root(image: str) -> None:
    finished = subprocess.run(
        ["docker", "image", "inspect", image], capture_output=True, check=True, timeout=60
    )
    (found,) = json.loads(finished.stdout)
    configuration = found["Config"]
    assert configuration["User"] == "1000:1000"
    assert configuration["Entrypoint"][1:] == ["-I", "-m", "hakoiri.workspace_agent"]
    names = {entry.split("=")[0] for entry in configuration["Env"]}
    assert not {name for name in names if "KEY" in name or "TOKEN" in name or "SECRET" in name}
