import os
import subprocess
import sys
from collections.abc import Mapping
from io import StringIO
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.host.own_environment import credential_variables, drop_credentials

PLANTED = "planted-a7f3"
HARMLESS = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "HAKOIRI_DATABASE_URL": "postgresql://hakoiri:word@db.example.test/hakoiri",
    "HAKOIRI_MODEL__PROVIDER": "rehearsal",
    "NOTIFY_SOCKET": "/run/systemd/notify",
    "HTTPS_PROXY": "http://proxy.example.test:3128",
    "MONKEY": "no key",
    "KEYBOARD": "us",
}


class ExecutedError(Exception):
    """Stands for the end of this program."""


class FakeExecve:
    argv: list[str]
    env: Mapping[str, str]

    def __call__(self, path: str, argv: list[str], env: Mapping[str, str]) -> NoReturn:
        assert path == argv[0] == sys.executable
        self.argv, self.env = argv, env
        raise ExecutedError


@pytest.mark.parametrize(
    "name",
    [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "CLAUDE_CODE_OAUTH_TOKEN",
        "OPENAI_API_KEY",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GITHUB_TOKEN",
        "GH_TOKEN",
        "NPM_TOKEN",
        "PGPASSWORD_FOR_PASSWORD",
        "db_password",
        "SSH_AUTH_SOCK",
        "SIGNING_KEY",
    ],
)
def test_a_variable_that_is_or_leads_to_a_credential_is_known_by_its_name(name: str) -> None:
    assert credential_variables({**HARMLESS, name: PLANTED}) == [name]


def test_what_is_needed_stays() -> None:
    assert credential_variables(HARMLESS) == []


def test_a_url_with_a_password_is_a_credential_whatever_its_name() -> None:
    found = {"HTTPS_PROXY": "http://me:word@proxy.example.test:3128"}
    assert credential_variables(found) == ["HTTPS_PROXY"]


def test_the_process_starts_itself_anew_without_them() -> None:
    execute, told = FakeExecve(), StringIO()
    with pytest.raises(ExecutedError):
        drop_credentials(
            "hakoiri serve",
            environment={**HARMLESS, "AWS_SECRET_ACCESS_KEY": PLANTED, "GH_TOKEN": PLANTED},
            command=["python", "-P", "-m", "hakoiri.cli", "serve", "--port", "9"],
            tell=told,
            execute=execute,
        )
    assert execute.env == HARMLESS
    assert execute.argv[1:] == ["-P", "-m", "hakoiri.cli", "serve", "--port", "9"]
    assert "AWS_SECRET_ACCESS_KEY, GH_TOKEN" in told.getvalue()
    assert "HAKOIRI_PROXY__ENV_FILE" in told.getvalue()
    assert PLANTED not in told.getvalue()


def test_without_any_nothing_happens() -> None:
    told = StringIO()
    drop_credentials("p", environment=HARMLESS, tell=told, execute=FakeExecve())
    assert told.getvalue() == ""


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_what_is_kept_has_none_left(environment: dict[str, str]) -> None:
    execute = FakeExecve()
    try:
        drop_credentials("p", environment=environment, tell=StringIO(), execute=execute)
    except ExecutedError:
        assert credential_variables(execute.env) == []
        assert execute.env.items() < environment.items()
    else:
        assert credential_variables(environment) == []


def test_the_kernel_shows_none_either_and_standard_input_is_still_there() -> None:
    program = (
        "import sys\n"
        "from hakoiri.host.own_environment import drop_credentials\n"
        "drop_credentials('p')\n"
        "print(open('/proc/self/environ').read().replace('\\0', '\\n'), sys.stdin.read())\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env={**os.environ, "AWS_SECRET_ACCESS_KEY": PLANTED, "KEPT_FOR_TEST": "here"},
        input="the launch",
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert PLANTED not in done.stdout + done.stderr
    assert "KEPT_FOR_TEST=here" in done.stdout
    assert "the launch" in done.stdout
    assert "AWS_SECRET_ACCESS_KEY" in done.stderr
