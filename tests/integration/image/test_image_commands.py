"""`hakoiri image scan`, `sbom`, `sign` and `verify` on a real engine."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine import TestEngine
from tests.unit.image.archives import File, archive

from hakoiri.image.scan_record import read_record
from hakoiri.image.signature import directory_of

pytestmark = pytest.mark.engine

PLANTED = "AK" + "IA" + "PLANTED" + "Q" * 9
DOCKERFILE = "ARG BASE\nFROM ${BASE}\nCOPY note cat /opt/\n"


def command(engine: TestEngine, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "hakoiri.cli", "image", *arguments],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HAKOIRI_DOCKER_HOST": engine.docker_host},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def docker(engine: TestEngine, *arguments: str, content: bytes | None = None) -> str:
    finished = subprocess.run(
        ["docker", *arguments],
        env={"PATH": "/usr/bin:/bin", "DOCKER_HOST": engine.docker_host, "DOCKER_BUILDKIT": "0"},
        input=content,
        capture_output=True,
        timeout=200,
        check=True,
    )
    return finished.stdout.decode().strip()


@pytest.fixture(scope="module")
def planted(engine: TestEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image whose last layer hides what the first one holds."""
    context = tmp_path_factory.mktemp("context")
    for name in ("note", "cat"):
        (context / name).write_text("nothing")
    (context / "Dockerfile").write_text(DOCKERFILE)
    first = {"opt/note": File(PLANTED.encode()), "opt/cat": File(b"\x7fELF", mode=0o4755)}
    base = docker(engine, "import", "-", content=archive(first))
    build = ("build", "--quiet", "--network=none", f"--build-arg=BASE={base}", str(context))
    image_id = docker(engine, *build).splitlines()[-1]
    yield image_id
    docker(engine, "rmi", "--force", image_id, base)


def test_no_layer_of_our_image_ever_held_a_secret_or_a_right_to_gain(
    engine: TestEngine, image: str, tmp_path: Path
) -> None:
    scanned = command(engine, "scan", "--image", image, "--signatures", str(tmp_path), "--json")
    told = json.loads(scanned.stdout)
    assert told["findings"] == []
    assert {report["scanner"] for report in told["scanners"]} == {
        "pip-audit",
        "npm audit",
        "trivy",
        "grype",
    }
    is_vulnerable = any(report["state"] == "vulnerable" for report in told["scanners"])
    assert scanned.returncode == int(is_vulnerable)
    noted = read_record(directory_of(tmp_path, told["image_id"]))
    assert noted is not None
    assert noted.image == told["image_id"]
    assert noted.scanners == {one["scanner"]: one["state"] for one in told["scanners"]}


def test_what_a_later_layer_hides_is_found_and_the_secret_not_shown(
    engine: TestEngine, planted: str, tmp_path: Path
) -> None:
    scanned = command(engine, "scan", "--image", planted, "--signatures", str(tmp_path), "--json")
    assert scanned.returncode == 1
    told = json.loads(scanned.stdout)
    found = {(finding["rule"], finding["path"]) for finding in told["findings"]}
    assert {("secret", "opt/note"), ("set-id", "opt/cat")} <= found
    assert PLANTED not in scanned.stdout + scanned.stderr


def test_the_bill_names_what_is_in_the_image(
    engine: TestEngine, image: str, tmp_path: Path
) -> None:
    made = command(engine, "sbom", "--image", image, "--cache", str(tmp_path))
    assert made.returncode == 0, made.stderr
    components = json.loads(made.stdout)["components"]
    names = {entry["name"]: entry.get("version", "") for entry in components}
    assert names["claude"].startswith("2.")
    assert {"claude-agent-sdk", "fastapi", "git", "nodejs", "global-agent"} <= set(names)
    assert docker(engine, "ps", "--all", "--quiet", "--filter=name=hakoiri-export-") == ""


def test_an_image_is_signed_and_another_is_not_taken_for_it(
    engine: TestEngine, image: str, planted: str, tmp_path: Path
) -> None:
    key, public = tmp_path / "image.key", tmp_path / "image.pub"
    openssl = ("openssl", "genpkey", "-algorithm", "ed25519", "-out", str(key))
    subprocess.run(openssl, check=True, capture_output=True)
    subprocess.run(
        ["openssl", "pkey", "-in", str(key), "-pubout", "-out", str(public)],
        check=True,
        capture_output=True,
    )
    places = ("--signatures", str(tmp_path / "signed"))
    cache = ("--cache", str(tmp_path / "cache"))
    signed = command(engine, "sign", "--image", image, "--key", str(key), *places, *cache)
    assert signed.returncode == 0, signed.stderr
    verified = command(engine, "verify", "--image", image, "--key", str(public), *places)
    assert verified.stdout.strip() == docker(engine, "image", "inspect", "-f", "{{.Id}}", image)
    refused = command(engine, "verify", "--image", planted, "--key", str(public), *places)
    assert refused.returncode == 1
    assert "the image is not signed here" in refused.stderr
    # the signature is one that any implementation of Ed25519 takes
    directory = Path(signed.stdout.strip())
    raw = tmp_path / "raw.sig"
    subprocess.run(
        [
            *("openssl", "base64", "-d", "-A"),
            *("-in", str(directory / "statement.json.sig"), "-out", str(raw)),
        ],
        check=True,
    )
    subprocess.run(
        [
            *("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(public), "-rawin"),
            *("-in", str(directory / "statement.json"), "-sigfile", str(raw)),
        ],
        check=True,
        capture_output=True,
    )
