import os
from pathlib import Path

import pytest
from tests.unit.cli.supervisor.test_processes import REHEARSAL, ground, load

from hakoiri.cli.supervisor.preparation import PreparationError
from hakoiri.cli.supervisor.processes import proxy_process, server_process
from hakoiri.cli.supervisor.trace_launch import tracing_launch
from hakoiri.host.launch import ServerLaunch
from hakoiri.host.tracing_settings import TracingSettings
from hakoiri.tracing.launch import TracingLaunch

SECRET = "planted-trace-secret"
TEXT = f'authorization = "Bearer {SECRET}"\n'
ENDPOINT = "https://otel.test"


def launch(directory: Path, text: str = TEXT, *, mode: int = 0o600) -> TracingLaunch:
    path = directory / "headers.toml"
    path.write_text(text)
    path.chmod(mode)
    settings = TracingSettings(endpoint=ENDPOINT, ratio=0.5, headers_file=path, interval_s=3)
    made = tracing_launch(settings, instance="i1", owner_uid=os.getuid())
    assert made is not None
    return made


def test_without_an_endpoint_nothing_is_told(tmp_path: Path) -> None:
    assert tracing_launch(TracingSettings(), instance="i1") is None
    proxy = proxy_process(load(tmp_path), ground(tmp_path), REHEARSAL)
    assert ("--tracing" in proxy.arguments, proxy.standard_input) == (False, b"")


def test_both_processes_get_the_headers_on_their_standard_input_alone(tmp_path: Path) -> None:
    made = launch(tmp_path)
    assert made.headers == {"authorization": f"Bearer {SECRET}"}
    assert (made.endpoint, made.ratio) == ("https://otel.test/v1/traces", 0.5)
    assert made.interval_s == 3
    proxy = proxy_process(load(tmp_path), ground(tmp_path), REHEARSAL, tracing=made)
    server = server_process(load(tmp_path), ground(tmp_path), "image", tracing=made)
    assert TracingLaunch.model_validate_json(proxy.standard_input) == made
    assert "--tracing" in proxy.arguments
    assert ServerLaunch.model_validate_json(server.standard_input).tracing == made
    for spec in (proxy, server):
        assert SECRET not in str((spec.arguments, spec.environment))


@pytest.mark.parametrize("mode", [0o604, 0o620, 0o666])
def test_a_file_that_others_can_open_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(PreparationError, match=r"HAKOIRI_TRACING__HEADERS_FILE.*chmod 0640"):
        launch(tmp_path, mode=mode)


def test_a_file_that_is_somebody_elses_a_link_or_no_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "headers.toml"
    path.write_text(TEXT)
    path.chmod(0o600)
    link = tmp_path / "link.toml"
    link.symlink_to(path)
    for named, uid in ((path, os.getuid() + 1), (link, os.getuid()), (tmp_path, os.getuid())):
        settings = TracingSettings(endpoint=ENDPOINT, headers_file=named)
        with pytest.raises(PreparationError, match="HAKOIRI_TRACING__HEADERS_FILE"):
            tracing_launch(settings, instance="i1", owner_uid=uid)


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f'Authorization = "{SECRET}"',
        f'"{SECRET} " = "x"',
        f'a = "{SECRET}\\r\\nb: c"',
        f'[a]\nb = "{SECRET}"',
        "a = 1\n" * 20_000,
    ],
)
def test_what_is_in_a_file_that_is_wrong_is_not_shown(tmp_path: Path, text: str) -> None:
    with pytest.raises(PreparationError, match="HAKOIRI_TRACING__HEADERS_FILE") as caught:
        launch(tmp_path, text)
    assert SECRET not in str(caught.value)
