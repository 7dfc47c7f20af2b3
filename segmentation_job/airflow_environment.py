"""The Airflow of this project: its environment, its preparation, and its processes on this machine.

Everything lies in `<data_dir>/airflow`: SQLite metadata, logs, and the generated secrets with mode 600.
It listens on loopback only.
"""

import fcntl
import importlib.metadata
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final

from segmentation_job.errors import SegmentationError
from segmentation_job.steps import DAG_ID, POOL

DEFAULT_PORT: Final = 8080
USER: Final = "admin"
PASSWORDS_FILE: Final = "simple_auth_manager_passwords.json.generated"
POOL_PURPOSE: Final = "One writer at a time: DuckDB locks its file against a second process"
LOOPBACK: Final = "127.0.0.1"
CONNECTION_VARIABLE: Final = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"

# No triggerer: no task of this project defers. The scheduler's log server would listen on all
# interfaces; the API server reads the log files of this machine itself.
COMPONENTS: Final[dict[str, tuple[str, ...]]] = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
}


class AirflowError(SegmentationError):
    """Airflow could not be prepared or started; the message says where to look."""


def airflow_environment(
    *,
    data_dir: Path,
    project_dir: Path,
    inherited: Mapping[str, str],
    port: int = DEFAULT_PORT,
    bin_dir: Path | None = None,
) -> dict[str, str]:
    """Return the whole environment for any process of this project's Airflow.

    data_dir: holds `airflow/`, and is handed to the tasks as SEGMENTATION_DATA_DIR. project_dir: holds
    `dags/`. inherited: usually `os.environ`; kept but for what Airflow would read from another
    installation. port: of the API server, on loopback. bin_dir: where `segmentation` and `airflow` lie;
    default: beside the running Python.
    """
    data_dir, project_dir = data_dir.absolute(), project_dir.absolute()
    home = data_dir / "airflow"
    url = f"http://{LOOPBACK}:{port}"
    environment = {name: value for name, value in inherited.items() if name != "AIRFLOW_CONFIG"}
    # The interpreter's own folder, not where its symlink points: there lies the environment's `bin`.
    own_bin = bin_dir or Path(sys.executable).parent
    paths = [str(own_bin), *(path for path in inherited.get("PATH", os.defpath).split(os.pathsep) if path)]
    direct = [name for name in inherited.get("NO_PROXY", inherited.get("no_proxy", "")).split(",") if name]
    without_proxy = ",".join(dict.fromkeys([*direct, LOOPBACK, "localhost"]))
    return environment | {
        "PATH": os.pathsep.join(dict.fromkeys(paths)),
        "NO_PROXY": without_proxy,
        "no_proxy": without_proxy,
        "SEGMENTATION_DATA_DIR": str(data_dir),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__HOST": LOOPBACK,
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__CORE__DAGS_FOLDER": str(project_dir / "dags"),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        # The pool lets one task run; the second worker starts the next run's skipped or failing tasks.
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(home / "plugins"),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / PASSWORDS_FILE),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        CONNECTION_VARIABLE: f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(home / "logs" / "dag_processor"),
    }


def airflow_command(*arguments: str) -> list[str]:
    """Return the command line that runs this environment's own Airflow."""
    return [sys.executable, "-m", "airflow", *arguments]


def prepare_airflow(environment: Mapping[str, str]) -> bool:
    """Create or upgrade Airflow's metadata, its pool and its secrets; do nothing where that is done.

    environment: of `airflow_environment`; its connection may be replaced by that of a database server. Returns whether
    there was anything to do. May be called by several processes at once. Raises AirflowError with the end of
    Airflow's output.
    """
    home = Path(environment["AIRFLOW_HOME"])
    database, stamp = home / "airflow.db", home / "prepared"
    wanted = f"airflow {importlib.metadata.version('apache-airflow')}, pool {POOL}\n"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (home / "prepare.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if environment[CONNECTION_VARIABLE] != f"sqlite:///{database}":
            # A server's metadata: a migration there is one transaction a step, and does nothing where all is done.
            _write_secrets(home)
            _migrate(environment)
            return True
        if database.exists() and stamp.exists() and stamp.read_text() == wanted:
            return False
        stamp.unlink(missing_ok=True)
        _write_secrets(home)
        # A first migration that is killed halfway cannot be continued: it becomes the database when done.
        target = database if database.exists() else home / "airflow.db.new"
        if target != database:
            for leftover in home.glob("airflow.db.new*"):
                leftover.unlink()
        _migrate({**environment, CONNECTION_VARIABLE: f"sqlite:///{target}"})
        if target != database:
            target.replace(database)
        stamp.write_text(wanted)
    return True


def _migrate(environment: Mapping[str, str]) -> None:
    for arguments in (("db", "migrate"), ("pools", "set", POOL, "1", POOL_PURPOSE)):
        _run_airflow(arguments, environment)


def _write_secrets(home: Path) -> None:
    """Generate what Airflow needs to keep secret, once; files of mode 600, nothing on a command line."""

    def write(path: Path, text: str) -> None:
        if not path.exists():
            # Whole or not at all: half of it would count as there from then on.
            unfinished = path.with_name(f"{path.name}.unfinished")
            unfinished.unlink(missing_ok=True)
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
                file.flush()
                os.fsync(descriptor)
            unfinished.replace(path)

    fernet_key = urlsafe_b64encode(secrets.token_bytes(32)).decode()
    write(
        home / "airflow.cfg",
        "# Generated secrets; every other setting comes from the environment.\n"
        f"[core]\nfernet_key = {fernet_key}\n\n"
        f"[api]\nsecret_key = {secrets.token_urlsafe(32)}\n\n"
        f"[api_auth]\njwt_secret = {secrets.token_urlsafe(48)}\n",
    )
    write(home / PASSWORDS_FILE, json.dumps({USER: secrets.token_urlsafe(18)}) + "\n")


def _run_airflow(arguments: tuple[str, ...], environment: Mapping[str, str]) -> None:
    finished = subprocess.run(
        airflow_command(*arguments),
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        check=False,
    )
    if finished.returncode != 0:
        tail = "\n".join(finished.stdout.splitlines()[-25:])
        raise AirflowError(
            f"`airflow {' '.join(arguments)}` ended with {finished.returncode} "
            f"(AIRFLOW_HOME={environment['AIRFLOW_HOME']}):\n{tail}"
        )


@dataclass
class RunningAirflow:
    """An Airflow whose processes run as children of this one.

    url: of the API server and its pages. home: AIRFLOW_HOME. processes: by component.
    """

    url: str
    home: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def password_file(self) -> Path:
        """Where the generated password of USER stands."""
        return self.home / PASSWORDS_FILE

    def log_file(self, component: str) -> Path:
        """Where a component's output goes."""
        return self.home / "logs" / f"{component}.log"

    def token(self) -> str:
        """Return a token for the API, as `Authorization: Bearer …`."""
        password = json.loads(self.password_file.read_text())[USER]
        answer = request_json("POST", f"{self.url}/auth/token", body={"username": USER, "password": password})
        return str(answer["access_token"])

    def ended(self) -> str | None:
        """Return the name of a component that has ended, None while all run."""
        for component, process in self.processes.items():
            if process.poll() is not None:
                return component
        return None

    def is_healthy(self) -> bool:
        """Tell whether the API answers, the scheduler and the DAG processor beat, and the DAG is there."""
        try:
            health = request_json("GET", f"{self.url}/api/v2/monitor/health")
            beating = all(
                (health.get(part) or {}).get("status") == "healthy"
                for part in ("metadatabase", "scheduler", "dag_processor")
            )
            if not beating:
                return False
            request_json("GET", f"{self.url}/api/v2/dags/{DAG_ID}", token=self.token())
        except (OSError, ValueError):
            return False
        return True

    def log_tail(self, component: str, lines: int = 25) -> str:
        """Return the end of a component's output."""
        path = self.log_file(component)
        if not path.exists():
            return "(no output)"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


def request_json(
    method: str, url: str, *, token: str | None = None, body: object = None, timeout: float = 30.0
) -> dict[str, Any]:
    """Call Airflow's API on this machine and return its JSON answer.

    body: sent as JSON. timeout: in seconds. Raises urllib.error.HTTPError (an OSError) with the answer's
    text in its message.
    """
    headers = {"Content-Type": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=timeout) as response:
            answer: dict[str, Any] = json.load(response)
            return answer
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")
        raise urllib.error.HTTPError(url, error.code, f"{error.reason}: {text[:2000]}", error.headers, None) from None


@contextmanager
def running_airflow(environment: Mapping[str, str], *, deadline: float = 120.0) -> Iterator[RunningAirflow]:
    """Start Airflow's processes, yield once all are healthy, and stop them on the way out.

    environment: of `airflow_environment`, prepared by `prepare_airflow`. deadline: seconds to become
    healthy. Raises AirflowError where the port is taken, a process ends or the deadline passes.
    """
    port = int(environment["AIRFLOW__API__PORT"])
    if _is_taken(port):
        raise AirflowError(f"port {port} on {LOOPBACK} is taken: stop what listens there, or choose another")
    home = Path(environment["AIRFLOW_HOME"])
    airflow = RunningAirflow(url=environment["AIRFLOW__API__BASE_URL"], home=home)
    (home / "logs").mkdir(parents=True, exist_ok=True)
    try:
        for component, arguments in COMPONENTS.items():
            with airflow.log_file(component).open("wb") as log:
                airflow.processes[component] = subprocess.Popen(
                    airflow_command(*arguments),
                    env=dict(environment),
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    # Ctrl-C reaches this process alone, which then stops the others in order.
                    start_new_session=True,
                )
        until = time.monotonic() + deadline
        while not airflow.is_healthy():
            _raise_if_ended(airflow)
            if time.monotonic() > until:
                raise AirflowError(f"Airflow was not healthy after {deadline:.0f} s: see {home / 'logs'}")
            time.sleep(0.5)
        yield airflow
    finally:
        _stop(airflow.processes)


def serve(environment: Mapping[str, str]) -> None:
    """Run Airflow in the foreground until Ctrl-C or SIGTERM.

    environment: of `airflow_environment`, prepared by `prepare_airflow`. Raises AirflowError where a
    component ends by itself. Call it from the main thread: it handles signals.
    """
    asked_to_stop = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        if asked_to_stop.is_set():
            return
        asked_to_stop.set()
        raise KeyboardInterrupt

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        print("Starting Airflow …", flush=True)
        with running_airflow(environment) as airflow:
            print(
                f"\nAirflow is ready:  {airflow.url}/dags/{DAG_ID}\n"
                f"User:              {USER}\n"
                f"Password:          in {airflow.password_file}\n"
                f"Logs:              {airflow.home / 'logs'}\n\n"
                "The DAG is paused: unpause it to run every night at 02:00 UTC. Ctrl-C stops Airflow.",
                flush=True,
            )
            while True:
                _raise_if_ended(airflow)
                time.sleep(1.0)
    except KeyboardInterrupt:
        print("Airflow is stopped.", flush=True)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
    return False


def _raise_if_ended(airflow: RunningAirflow) -> None:
    component = airflow.ended()
    if component is not None:
        raise AirflowError(
            f"Airflow's {component} ended with {airflow.processes[component].returncode} "
            f"({airflow.log_file(component)}):\n{airflow.log_tail(component)}"
        )


def _stop(processes: Mapping[str, subprocess.Popen[bytes]], patience: float = 20.0) -> None:
    """End the children: SIGTERM to each, then SIGKILL to what is left of their sessions."""
    for process in processes.values():
        if process.poll() is None:
            process.terminate()
    until = time.monotonic() + patience
    for process in processes.values():
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=max(0.1, until - time.monotonic()))
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
