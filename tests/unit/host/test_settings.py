from pathlib import Path

import pytest

from hakoiri.host import settings
from hakoiri.host.settings import SettingsError

INSTALLED = Path(__file__).parents[3] / "deployment" / "systemd" / "hakoiri.toml"
UPGRADE_S = 60.0
"""A server and a proxy that are started anew on a host with much else to do."""


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_flags_win_over_environment_and_environment_over_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "hakoiri.toml").write_text('port = 1\nhost = "127.0.0.9"\n[container]\npids = 99\n')
    monkeypatch.setenv("HAKOIRI_PORT", "2")
    monkeypatch.setenv("HAKOIRI_CONTAINER__RUNTIME", "runsc")

    loaded = settings.load(port=3)

    assert (loaded.port, loaded.host) == (3, "127.0.0.9")
    assert (loaded.container.pids, loaded.container.runtime) == (99, "runsc")
    assert settings.load(port=None).port == 2


@pytest.mark.parametrize("name", ["HAKOIRI_PROT", "HAKOIRI_CONTAINER__PRIVILEGED", "HAKOIRI_MODEL"])
def test_an_unknown_variable_is_an_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingsError, match=name):
        settings.load()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("prot = 1\n", "prot"),
        ("[container]\nprivileged = true\n", "container.privileged"),
        ("[container]\npids = 1\n", "container.pids"),
        ("[container]\npids = -1\n", "container.pids"),
        ("[container]\nmemory_mib = 0\n", "container.memory_mib"),
        ("[container]\ncpus = 0\n", "container.cpus"),
        ("[container]\ncpus = inf\n", "container.cpus"),
        ("[container]\nshm_mib = 0\n", "container.shm_mib"),
        ("[container]\ntmp_mib = 0\n", "container.tmp_mib"),
        ("[container]\nopen_files = 1000000\n", "container.open_files"),
        ("[files]\nfile_limit_bytes = 9000000000000\n", "files.file_limit_bytes"),
        ("[collection]\ngrace_s = 3600\n", "collection.grace_s"),
        ("[retention]\npoints = 0\n", "retention.points"),
        ("[retention]\npoints = 10001\n", "retention.points"),
        ("[retention]\npoints = 10\n", "running_points: 20 of 10 points are too many"),
        ("[retention]\nage_s = 60\n", "age_s: at least 3600"),
        ("[retention]\nage_s = -1\n", "retention.age_s"),
        ("[retention]\nkept_points = 1001\n", "retention.kept_points"),
        ('[container]\napparmor_profile = "unconfined"\n', "container.apparmor_profile"),
        ('[container]\napparmor_profile = "a,b"\n', "container.apparmor_profile"),
        ('[container]\nruntime = "sysbox"\n', "container.runtime"),
        ('[container]\nruntimes = "runc,sysbox"\n', "container.runtimes"),
        ("[warm_pool]\nmin = 5\n", "min <= target <= max is needed, not 5, 4, 4"),
        ("[warm_pool]\nmax_age_s = 1\n", "warm_pool.max_age_s"),
        ("[container]\nuserns = 'host'\n", "container.userns"),
        ("[container]\nidle_timeout_max_s = 60\n", "idle_timeout_max_s: 60 is less than"),
        ("[container]\nidle_timeout_max_s = 86401\n", "container.idle_timeout_max_s"),
        ("[container]\nworkspace_mib = 1\n", "container.workspace_mib"),
        ("[container]\nworkspace_mib = 16\nworkspace_inodes = 4097\n", "at most 4096"),
        ("[container]\nhome_mib = 16\nhome_inodes = 4097\n", "raise home_mib"),
        ("[container]\nworkspace_mib = 65536\n", "files.limit_bytes.*or lower"),
        ("[files]\nlimit_bytes = 1073741824\n", "files.limit_bytes.*container.workspace_mib"),
        ("[files]\nlimit_entries = 199999\n", "files.limit_entries.*workspace_inodes"),
        ('data_dir = "relative"\n', "data_dir"),
        ('[object_store]\nkms_key_id = "k"\n', "object_store.*kms_key_id needs encryption"),
        ('[object_store]\nencryption = "rot13"\n', "object_store.encryption"),
        ('[object_store]\nendpoint = "https://u:p@s3.example.test"\n', "object_store.endpoint"),
        ("not toml", "hakoiri.toml"),
    ],
)
def test_a_bad_file_is_one_error_that_names_the_key(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "hakoiri.toml").write_text(text)
    with pytest.raises(SettingsError, match=named):
        settings.load()


def test_a_named_file_that_is_missing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAKOIRI_CONFIG", "/does/not/exist.toml")
    with pytest.raises(SettingsError, match=r"/does/not/exist\.toml"):
        settings.load()


def test_the_page_of_settings_names_each_with_its_default() -> None:
    page = (Path(__file__).parents[3] / "docs/operations/settings.md").read_text()
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| `HAKOIRI_")]
    shown = {row[1].strip(" `"): row[2].strip(" `") for row in rows}
    assert shown == {
        name: "" if default is None else str(default)
        for name, default in settings.variables().items()
    }


def test_an_unknown_variable_is_answered_with_the_nearest_known_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HAKOIRI_CONTAINER__PID", "64")
    with pytest.raises(SettingsError, match="did you mean HAKOIRI_CONTAINER__PIDS"):
        settings.load()


def test_the_runtimes_are_the_usual_one_and_those_that_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert settings.load().container.allowed_runtimes == ("runc",)
    monkeypatch.setenv("HAKOIRI_CONTAINER__RUNTIME", "runsc")
    assert settings.load().container.allowed_runtimes == ("runsc",)
    monkeypatch.setenv("HAKOIRI_CONTAINER__RUNTIMES", "runc,runsc")
    assert settings.load().container.allowed_runtimes == ("runsc", "runc")


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ({}, (1, 2, 4)),
        ({"min": 0}, (0, 0, 4)),
        ({"min": 3}, (3, 4, 4)),
        ({"min": 1, "target": 3}, (1, 3, 4)),
    ],
)
def test_a_target_that_is_not_given_is_twice_the_minimum(
    given: dict[str, int], size: tuple[int, int, int]
) -> None:
    made = settings.WarmPoolSettings.model_validate(given).size()
    assert (made.min, made.target, made.max) == size


def test_a_log_that_is_not_kept_cannot_be_shipped() -> None:
    with pytest.raises(SettingsError, match="ship_file"):
        settings.load(audit={"enabled": False, "ship_file": "/etc/hakoiri-ship/ship.toml"})


@pytest.mark.parametrize(
    ("variable", "value", "mend"),
    [
        ("HAKOIRI_DATABASE_URL", "mysql://x", "must begin with sqlite:// or postgresql://"),
        ("HAKOIRI_OBJECT_STORE_URL", "gs://x", "must begin with file:// or s3://"),
    ],
)
def test_a_store_of_another_kind_is_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, mend: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as refused:
        settings.load()
    assert str(refused.value) == f"{variable.removeprefix('HAKOIRI_').lower()}: {mend}"


@pytest.mark.parametrize(
    "url", ["sqlite:////srv/x", "sqlite+aiosqlite:////srv/x", "postgresql:///x"]
)
def test_a_database_that_there_is_is_taken(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("HAKOIRI_DATABASE_URL", url)
    assert settings.load().database_url == url


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[models]\nprovider = "bedrock"\n', "models: no such setting; did you mean model?"),
        (
            "[container]\npid = 64\n",
            "container.pid: no such setting; did you mean container.pids?",
        ),
    ],
)
def test_an_unknown_key_of_the_file_is_answered_with_the_nearest_known_one(
    tmp_path: Path, text: str, told: str
) -> None:
    (tmp_path / "hakoiri.toml").write_text(text)
    with pytest.raises(SettingsError) as refused:
        settings.load()
    assert str(refused.value) == told


def test_a_model_call_is_made_again_for_longer_than_an_upgrade_takes() -> None:
    """The CLI pauses for 0.5 s, then twice as long each time, 32 s at most (measured)."""
    retries = settings.load().model.retries
    pauses_s = [min(0.5 * 2**number, 32.0) for number in range(retries)]
    assert sum(pauses_s) >= UPGRADE_S
    assert "retries" not in INSTALLED.read_text(), "there is one place for it"
