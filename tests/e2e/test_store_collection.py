"""A whole server: its store is collected and told of, and a folder comes as a zip."""

import io
import os
import re
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.running import Hakoiri, hakoiri
from tests.engine import TestEngine

pytestmark = [pytest.mark.engine, pytest.mark.root]

LARGE = os.urandom(2_500_000)


@pytest.fixture(scope="module")
def server(
    engine: TestEngine, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hakoiri]:
    with hakoiri(
        tmp_path_factory.mktemp("collected"),
        docker_host=engine.docker_host,
        settings={"HAKOIRI_CONTAINER__IMAGE": image, "HAKOIRI_WARM_POOL__MAX": "0"}
        | {"HAKOIRI_WARM_POOL__MIN": "0"},
    ) as running:
        yield running


@pytest.fixture(scope="module")
def workspace(server: Hakoiri) -> str:
    made: dict[str, Any] = server.api.call("POST", "/v1/workspaces", {})
    for name, content in (("src/a.txt", b"one"), ("src/a.txt", b"two"), ("src/large", LARGE)):
        path = f"/v1/workspaces/{made['id']}/files/{name}"
        server.api.upload(path, iter([content]), size=len(content))
    return str(made["id"])


def test_the_store_is_looked_through_and_what_is_live_stays(
    server: Hakoiri, workspace: str
) -> None:
    for dry_run in (True, False):
        told = server.api.call("POST", "/v1/collection", {"dry_run": dry_run})
        assert (told["is_dry"], told["failures"], told["missing"]) == (dry_run, [], 0)
        assert told["recovery_points"] >= 1
        assert told["live"]["size_bytes"] > len(LARGE)
        assert told["left"]["objects"] == 0
    figures = server.api.download("/metrics").decode()
    (live,) = re.findall(r'^hakoiri_store_bytes\{what="live"\} (.+)$', figures, re.MULTILINE)
    assert float(live) == told["live"]["size_bytes"]
    assert "hakoiri_store_collection_failures_total 0.0" in figures
    assert server.api.download(f"/v1/workspaces/{workspace}/files/src/a.txt") == b"two"


def test_a_folder_comes_as_a_zip(server: Hakoiri, workspace: str) -> None:
    content = server.api.download(f"/v1/workspaces/{workspace}/files/src?archive=zip")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == ["a.txt", "large"]
        assert archive.read("large") == LARGE


def test_an_archive_is_unpacked_without_a_box(server: Hakoiri, workspace: str) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("b/c.txt", b"three")
        archive.writestr("large", LARGE)
    content = made.getvalue()
    path = f"/v1/workspaces/{workspace}/files/in?archive=unpack"
    told = server.api.upload(path, iter([content]), size=len(content))
    assert (told["files"], told["left_out"]) == (2, 0)
    assert told["recovery_point"].startswith("rp-")
    files = f"/v1/workspaces/{workspace}/files"
    assert server.api.download(f"{files}/in/b/c.txt") == b"three"
    assert server.api.download(f"{files}/in/large") == LARGE
