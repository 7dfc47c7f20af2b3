"""How this project sets up its Airflow: on loopback, in its own folder, with secrets of its own."""

import json
import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from segmentation_job import airflow_environment as module
from segmentation_job.airflow_environment import (
    AirflowError,
    airflow_environment,
    prepare_airflow,
    running_airflow,
)
from segmentation_job.steps import DAG_ID, POOL

from .conftest import FakeCommand

PROJECT_DIR = Path(__file__).resolve().parents[2]

# One worker prepares the metadata that these tests share.


def environment_in(data_dir: Path, port: int = 8080, **inherited: str) -> dict[str, str]:
    return airflow_environment(
        data_dir=data_dir, project_dir=PROJECT_DIR, inherited={**os.environ, **inherited}, port=port
    )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    environment = environment_in(tmp_path_factory.mktemp("data"))
    assert prepare_airflow(environment) is True
    return environment


def home_of(environment: dict[str, str]) -> Path:
    return Path(environment["AIRFLOW_HOME"])


def test_everything_lies_under_the_data_folder_and_listens_on_loopback(tmp_path: Path) -> None:
    environment = environment_in(tmp_path, port=18181)
    assert environment["AIRFLOW_HOME"] == str(tmp_path / "airflow")
    assert environment["SEGMENTATION_DATA_DIR"] == str(tmp_path)
    assert environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == f"sqlite:///{tmp_path}/airflow/airflow.db"
    assert environment["AIRFLOW__CORE__DAGS_FOLDER"] == str(PROJECT_DIR / "dags")
    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert environment["AIRFLOW__API__BASE_URL"] == "http://127.0.0.1:18181"
    assert environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:18181/execution/"
    assert environment["AIRFLOW__CORE__LOAD_EXAMPLES"] == "False"


def test_the_commands_of_this_environment_come_first_on_the_path(tmp_path: Path) -> None:
    own = str(Path(sys.executable).parent)
    environment = environment_in(tmp_path, PATH=f"/usr/bin{os.pathsep}{own}{os.pathsep}/bin")
    assert environment["PATH"].split(os.pathsep) == [own, "/usr/bin", "/bin"]


def test_a_proxy_is_never_asked_for_this_machine(tmp_path: Path) -> None:
    environment = environment_in(tmp_path, NO_PROXY="intranet.example")
    assert environment["NO_PROXY"].split(",") == ["intranet.example", "127.0.0.1", "localhost"]
    assert environment["no_proxy"] == environment["NO_PROXY"]


def test_the_configuration_of_another_airflow_is_left_behind(tmp_path: Path) -> None:
    environment = environment_in(
        tmp_path,
        AIRFLOW_CONFIG="/etc/airflow/airflow.cfg",
        AIRFLOW__API__HOST="0.0.0.0",
        AIRFLOW__EMAIL__FROM_EMAIL="airflow@example.org",
    )
    assert "AIRFLOW_CONFIG" not in environment
    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert environment["AIRFLOW__EMAIL__FROM_EMAIL"] == "airflow@example.org"


def test_preparing_creates_the_pool_with_one_slot(prepared: dict[str, str]) -> None:
    with sqlite3.connect(home_of(prepared) / "airflow.db") as metadata:
        slots = metadata.execute("select slots from slot_pool where pool = ?", [POOL]).fetchall()
    assert slots == [(1,)]


def test_secrets_are_generated_and_for_their_owner_alone(prepared: dict[str, str], tmp_path: Path) -> None:
    home = home_of(prepared)
    for name in ("airflow.cfg", module.PASSWORDS_FILE):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600
    password = json.loads((home / module.PASSWORDS_FILE).read_text())[module.USER]
    assert len(password) >= 16
    assert password not in " ".join(prepared.values())
    other = tmp_path / "airflow"
    other.mkdir()
    module._write_secrets(other)
    assert json.loads((other / module.PASSWORDS_FILE).read_text())[module.USER] != password
    assert (other / "airflow.cfg").read_text() != (home / "airflow.cfg").read_text()


def test_a_secret_that_a_kill_cut_off_is_generated_anew(tmp_path: Path) -> None:
    unfinished = tmp_path / "airflow.cfg.unfinished"
    unfinished.write_text("# Generated secr")
    module._write_secrets(tmp_path)
    assert "jwt_secret" in (tmp_path / "airflow.cfg").read_text()
    assert not unfinished.exists()


def test_preparing_again_starts_no_process(prepared: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise AssertionError("nothing was to be done")

    monkeypatch.setattr(module, "_run_airflow", refuse)
    before = (home_of(prepared) / module.PASSWORDS_FILE).read_text()
    assert prepare_airflow(prepared) is False
    assert (home_of(prepared) / module.PASSWORDS_FILE).read_text() == before


@pytest.fixture
def recorded_calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[str, ...], str]]:
    """Airflow's command line replaced by one that notes its arguments and touches its database."""
    calls: list[tuple[tuple[str, ...], str]] = []

    def note(arguments: tuple[str, ...], environment: dict[str, str]) -> None:
        database = environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].removeprefix("sqlite:///")
        Path(database).touch()
        calls.append((arguments, Path(database).name))

    monkeypatch.setattr(module, "_run_airflow", note)
    return calls


def test_another_version_of_airflow_migrates_the_same_database(
    tmp_path: Path,
    recorded_calls: list[tuple[tuple[str, ...], str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environment = environment_in(tmp_path)
    assert prepare_airflow(environment) is True
    assert prepare_airflow(environment) is False
    monkeypatch.setattr("importlib.metadata.version", lambda _name: "3.4.0")
    recorded_calls.clear()
    assert prepare_airflow(environment) is True
    assert [(arguments[:2], name) for arguments, name in recorded_calls] == [
        (("db", "migrate"), "airflow.db"),
        (("pools", "set"), "airflow.db"),
    ]


def test_a_first_migration_that_was_killed_is_begun_afresh(
    tmp_path: Path, recorded_calls: list[tuple[tuple[str, ...], str]]
) -> None:
    environment = environment_in(tmp_path)
    home = home_of(environment)
    home.mkdir()
    (home / "airflow.db.new").write_text("half a migration")
    assert prepare_airflow(environment) is True
    assert {name for _, name in recorded_calls} == {"airflow.db.new"}
    assert (home / "airflow.db").read_text() == ""
    assert not (home / "airflow.db.new").exists()


def test_the_metadata_of_a_database_server_is_migrated_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = "postgresql+psycopg2://airflow:a-password@127.0.0.1:5432/airflow"
    environment = environment_in(tmp_path) | {module.CONNECTION_VARIABLE: server}
    calls: list[tuple[tuple[str, ...], str]] = []
    monkeypatch.setattr(
        module, "_run_airflow", lambda words, given: calls.append((words[:2], given[module.CONNECTION_VARIABLE]))
    )
    assert prepare_airflow(environment) is True
    assert prepare_airflow(environment) is True
    assert calls == [(("db", "migrate"), server), (("pools", "set"), server)] * 2
    assert not (home_of(environment) / "airflow.db").exists()
    assert (home_of(environment) / module.PASSWORDS_FILE).exists()


def test_a_migration_that_fails_shows_airflows_own_words(tmp_path: Path) -> None:
    environment = environment_in(tmp_path) | {"AIRFLOW__CORE__EXECUTOR": "NoSuchExecutor"}
    home_of(environment).mkdir()
    (home_of(environment) / "airflow.db").write_text("this is no database, though it has its name" * 50)
    with pytest.raises(AirflowError, match=r"(?s)airflow db migrate.*not a database"):
        prepare_airflow(environment)
    assert not (home_of(environment) / "prepared").exists()


def test_a_step_that_fails_for_good_is_told_once_and_one_that_is_tried_again_is_not(
    prepared: dict[str, str], fake_segmentation: FakeCommand, tmp_path: Path
) -> None:
    alerts = tmp_path / "alerts"
    # The first attempt at the check is killed, the second is done, and the step after it finds a setting wrong.
    calls = fake_segmentation(
        f'[ "$1" = check ] && [ ! -e "{tmp_path}/killed" ] && touch "{tmp_path}/killed" && kill -9 $$\n'
        '[ "$1" = build ] && exit 5\nexit 0'
    )
    environment = prepared | {
        "PATH": f"{calls.parent / 'bin'}{os.pathsep}{prepared['PATH']}",
        "PYTHONPATH": str(PROJECT_DIR),
        "SEGMENTATION_ALERT_COMMAND": f"tee -a '{alerts}'",
        "SEGMENTATION_FAULT_RETRY_MINUTES": "0.001",
    }
    command = module.airflow_command("dags", "test", DAG_ID, "2018-01-05T02:00:00+00:00")
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    asked = [line.partition(" --")[0] for line in calls.read_text().splitlines()]
    assert asked == ["check", "check", "build facts"], finished.stdout[-3000:]
    (alert,) = [json.loads(line) for line in alerts.read_text().splitlines()]
    assert alert.pop("run")
    assert alert.pop("log_url").startswith("http://127.0.0.1:8080/dags/")
    assert alert.pop("remedy").endswith("Follow docs/runbook.md, section “Nightly failure”.")
    assert alert == {
        "kind": "failed_step",
        "dag": DAG_ID,
        "as_of": "2018-01-05",
        "step": "build_facts",
        "exit_code": 5,
        "meaning": "a lens, a suite or a setting is wrong",
        "details": {},
    }


def test_a_taken_port_is_named_before_anything_starts(prepared: dict[str, str]) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        environment = prepared | {"AIRFLOW__API__PORT": str(port)}
        with pytest.raises(AirflowError, match=f"port {port} "), running_airflow(environment):
            pytest.fail("it started on a port that is taken")


def test_a_component_that_ends_stops_the_others_and_shows_why(
    prepared: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    commands = {
        "api-server": [sys.executable, "-c", "import time; time.sleep(600)"],
        "scheduler": [sys.executable, "-c", "print('no metadata'); raise SystemExit(7)"],
    }
    monkeypatch.setattr(module, "COMPONENTS", {name: (name,) for name in commands})
    monkeypatch.setattr(module, "airflow_command", lambda name: commands[name])
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def start(*arguments: object, **options: object) -> subprocess.Popen[bytes]:
        started.append(popen(*arguments, **options))  # type: ignore[call-overload]
        return started[-1]

    monkeypatch.setattr("subprocess.Popen", start)
    environment = prepared | {"AIRFLOW__API__PORT": str(port)}
    said = r"(?s)scheduler ended with 7.*no metadata"
    with pytest.raises(AirflowError, match=said), running_airflow(environment):
        pytest.fail("it was healthy without a scheduler")
    assert [process.poll() for process in started] == [-signal.SIGTERM, 7]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_serving_says_where_and_ends_its_processes_when_told(prepared: dict[str, str]) -> None:
    port = free_port()
    environment = prepared | {
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "PYTHONPATH": str(PROJECT_DIR),
    }
    script = "import os; from segmentation_job.airflow_environment import serve; serve(os.environ)"
    server = subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    said = ""
    for line in server.stdout:
        said += line
        if "Ctrl-C" in line:
            break
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children")
    processes = [int(pid) for pid in children.read_text().split()] if children.exists() else []
    server.send_signal(signal.SIGTERM)
    said += server.stdout.read()
    assert server.wait(timeout=60) == 0

    password = json.loads((home_of(prepared) / module.PASSWORDS_FILE).read_text())[module.USER]
    assert f"http://127.0.0.1:{port}/dags/{DAG_ID}" in said
    assert str(home_of(prepared) / module.PASSWORDS_FILE) in said
    assert password not in said
    assert "Airflow is stopped." in said
    with sqlite3.connect(home_of(prepared) / "airflow.db") as metadata:
        paused = metadata.execute("select is_paused from dag where dag_id = ?", [DAG_ID]).fetchall()
    assert paused == [(1,)]
    until = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in processes) and time.monotonic() < until:
        time.sleep(0.1)
    assert [pid for pid in processes if Path(f"/proc/{pid}").exists()] == []
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
