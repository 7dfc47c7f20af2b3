"""A real standalone Spark cluster on this machine: master, workers, and one server that dbt and the job speak to.

`python -m segmentation_job.spark_cluster` runs it in the foreground. One Spark application serves the Thrift protocol
(dbt) and Spark Connect (job and gate), because the embedded metastore admits one process. Everything listens on
loopback, without a password: whoever has an account on this machine can read and write what it serves.
"""

import argparse
import fcntl
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from segmentation_job.child_processes import die_with_parent
from segmentation_job.errors import MisconfiguredError, SegmentationError
from segmentation_job.settings import PROJECT_DIR

LOOPBACK: Final = "127.0.0.1"
OLDEST_JAVA: Final = 17
DEFAULT_FOLDER: Final = "spark"
"""Below the data folder."""

_START_SECONDS: Final = 240
_STOP_SECONDS: Final = 20
_SHOWN_LINES: Final = 15


class SparkClusterError(SegmentationError):
    """The cluster did not start, or one of its processes ended."""


@dataclass(frozen=True)
class ClusterPorts:
    """The ports that a cluster listens on, all of them on loopback; its workers take free ones.

    master, master_page: of the master, its protocol and its web page. connect: Spark Connect. thrift: HiveServer2.
    """

    master: int = 7077
    master_page: int = 7078
    connect: int = 15002
    thrift: int = 10000

    @classmethod
    def free(cls) -> "ClusterPorts":
        """Return four ports that nothing listens on now."""
        with socket.socket() as one, socket.socket() as two, socket.socket() as three, socket.socket() as four:
            sockets = (one, two, three, four)
            for each in sockets:
                each.bind((LOOPBACK, 0))
            return cls(*(each.getsockname()[1] for each in sockets))


@dataclass(frozen=True)
class ClusterSize:
    """How large the workers are.

    workers: how many, each with one executor. cores: of each. memory_mb: the heap of each executor; its Python
    processes come on top. driver_memory_mb: the heap of the server, through which every fetched row goes.
    """

    workers: int = 2
    cores: int = 1
    memory_mb: int = 1536
    driver_memory_mb: int = 1536


@dataclass(frozen=True)
class RunningCluster:
    """Where a cluster that runs can be reached.

    connect: as SparkSession.builder.remote takes it. thrift: host and port. master_page: its web page. warehouse:
    the folder of the tables. worker_pids: in the order of their start; a worker that is killed is not started again.
    server_pid: of the application's driver.
    """

    connect: str
    thrift: str
    master_page: str
    warehouse: Path
    worker_pids: tuple[int, ...]
    server_pid: int
    processes: dict[str, subprocess.Popen[bytes]] = field(repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """The settings by which dbt and the job find this cluster."""
        return {
            "TARGET": "spark",
            "SEGMENTATION_SPARK_CONNECT": self.connect,
            "SEGMENTATION_SPARK_THRIFT": self.thrift,
            "SEGMENTATION_SPARK_WAREHOUSE": str(self.warehouse),
        }


def java_command(environment: dict[str, str]) -> str:
    """Return the path of the Java that Spark will run on; raise MisconfiguredError where there is none, or too old."""
    remedy = (
        f"Install Java {OLDEST_JAVA} or newer (Debian: apt-get install openjdk-{OLDEST_JAVA}-jre-headless), or set "
        "JAVA_HOME to the folder of one."
    )
    home = environment.get("JAVA_HOME")
    java = str(Path(home, "bin", "java")) if home else shutil.which("java", path=environment.get("PATH"))
    if java is None or not os.access(java, os.X_OK):
        where = f"JAVA_HOME={home!r} has no bin/java" if home else "there is no java on PATH"
        raise MisconfiguredError(f"Spark runs on Java, and {where}. {remedy}")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < OLDEST_JAVA:
        raise MisconfiguredError(f"Spark wants Java {OLDEST_JAVA}, and {java} says {said.strip()!r}. {remedy}")
    return java


def spark_home() -> Path:
    """Return the folder of the Spark that pip's package brings; raise MisconfiguredError where it is not installed."""
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise MisconfiguredError(
            "The package pyspark is not installed: it is a dependency group of its own. Run `make spark-cluster`, or "
            "`uv sync --group spark`."
        )
    return Path(spec.origin).parent


@contextmanager
def running_cluster(
    folder: Path, *, ports: ClusterPorts | None = None, size: ClusterSize | None = None
) -> Iterator[RunningCluster]:
    """Start a cluster, wait until it answers, and stop it at the end, whatever ends it.

    folder: of its logs, metastore, scratch files and tables; tables and metastore stay for the next start. ports:
    None takes free ones. Where this process is killed, the cluster ends with it. Raises MisconfiguredError without
    Java or pyspark, and SparkClusterError where a part ends or does not answer, with the last lines of its log.
    """
    folder = folder.absolute()
    ports = ports or ClusterPorts.free()
    size = size or ClusterSize()
    environment = _environment(folder)
    _refuse_taken_ports(ports)
    for name in ("logs", "warehouse"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    with _sole_user(folder):
        for name in ("work", "scratch"):
            # Left by a cluster that was killed: nobody reads them again.
            shutil.rmtree(folder / name, ignore_errors=True)
            (folder / name).mkdir()
        processes: dict[str, subprocess.Popen[bytes]] = {}
        try:
            yield _start(folder, ports, size, environment, processes)
        finally:
            _stop(processes)


def _start(
    folder: Path,
    ports: ClusterPorts,
    size: ClusterSize,
    environment: dict[str, str],
    processes: dict[str, subprocess.Popen[bytes]],
) -> RunningCluster:
    spark_class = str(spark_home() / "bin" / "spark-class")
    master_url = f"spark://{LOOPBACK}:{ports.master}"
    page = f"http://{LOOPBACK}:{ports.master_page}"

    def start(name: str, command: Sequence[str]) -> None:
        with (folder / "logs" / f"{name}.log").open("wb") as log:
            processes[name] = subprocess.Popen(
                command,
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for this process, which then ends the others in order.
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    def wait_for(what: str, is_there: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not is_there():
            _raise_for_ended(processes, folder)
            if time.monotonic() > deadline:
                raise SparkClusterError(
                    f"{what} did not answer within {_START_SECONDS} s. Its log: {folder / 'logs'}. Where the machine "
                    "is busy, try again; where memory is short, start fewer or smaller workers."
                )
            time.sleep(0.3)

    start(
        "master",
        [
            *(spark_class, "org.apache.spark.deploy.master.Master", "--host", LOOPBACK),
            *("--port", str(ports.master), "--webui-port", str(ports.master_page)),
        ],
    )
    wait_for("Spark's master", lambda: _alive_workers(page) is not None)
    names = [f"worker-{number}" for number in range(1, size.workers + 1)]
    for name in names:
        start(
            name,
            [
                *(spark_class, "org.apache.spark.deploy.worker.Worker", "--host", LOOPBACK, "--webui-port", "0"),
                *("--cores", str(size.cores), "--memory", f"{size.memory_mb}m"),
                *("--work-dir", str(folder / "work" / name), master_url),
            ],
        )
    wait_for("A worker of Spark", lambda: (_alive_workers(page) or 0) >= size.workers)
    start("server", _server_command(folder, ports, size, master_url))
    wait_for("Spark's server", lambda: _answers(ports.connect) and _answers(ports.thrift))
    return RunningCluster(
        connect=f"sc://{LOOPBACK}:{ports.connect}",
        thrift=f"{LOOPBACK}:{ports.thrift}",
        master_page=page,
        warehouse=folder / "warehouse",
        worker_pids=tuple(processes[name].pid for name in names),
        server_pid=processes["server"].pid,
        processes=processes,
    )


def _server_command(folder: Path, ports: ClusterPorts, size: ClusterSize, master_url: str) -> list[str]:
    """Return the command of the one application that serves dbt by Thrift, and the job and the gate by Connect."""
    scratch = folder / "scratch"
    configuration = {
        "spark.app.name": "segmentation",
        "spark.executor.memory": f"{size.memory_mb}m",
        "spark.driver.host": LOOPBACK,
        "spark.driver.bindAddress": LOOPBACK,
        "spark.driver.extraJavaOptions": (
            f"-Djava.io.tmpdir={scratch} -Dderby.stream.error.file={folder / 'logs' / 'metastore.log'}"
        ),
        "spark.ui.enabled": "false",
        "spark.plugins": "org.apache.spark.sql.connect.SparkConnectPlugin",
        "spark.connect.grpc.binding.address": LOOPBACK,
        "spark.connect.grpc.binding.port": str(ports.connect),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.hadoop.javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={folder / 'metastore'};create=true",
        # A date that is written again replaces its own partition, and no other.
        "spark.sql.sources.partitionOverwriteMode": "dynamic",
        # The job replaces files of small tables itself: nobody may go on reading from a list of files made before.
        "spark.sql.hive.filesourcePartitionFileCacheSize": "0",
        # Moments are UTC, on every engine.
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": str(max(4, 2 * size.workers * size.cores)),
        "spark.executorEnv.PYSPARK_PYTHON": sys.executable,
        "spark.pyspark.python": sys.executable,
    }
    hive = {
        "hive.server2.thrift.port": str(ports.thrift),
        "hive.server2.thrift.bind.host": LOOPBACK,
        "hive.exec.scratchdir": str(scratch / "hive"),
        "hive.exec.local.scratchdir": str(scratch / "hive-local"),
        "hive.server2.logging.operation.enabled": "false",
    }
    return [
        str(spark_home() / "bin" / "spark-submit"),
        *("--class", "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2"),
        *("--master", master_url, "--driver-memory", f"{size.driver_memory_mb}m"),
        *(word for name, value in configuration.items() for word in ("--conf", f"{name}={value}")),
        "spark-internal",
        *(word for name, value in hive.items() for word in ("--hiveconf", f"{name}={value}")),
    ]


def _environment(folder: Path) -> dict[str, str]:
    environment = dict(os.environ)
    java = java_command(environment)
    return {
        **{name: value for name, value in environment.items() if not name.startswith("SPARK_")},
        "SPARK_HOME": str(spark_home()),
        # What binds to an address of its own choice binds to this one: web pages, block managers, executors.
        "SPARK_LOCAL_IP": LOOPBACK,
        "SPARK_LOCAL_DIRS": str(folder / "scratch"),
        # Nobody submits applications over HTTP here: one port fewer.
        "SPARK_MASTER_OPTS": "-Dspark.master.rest.enabled=false",
        "PYSPARK_PYTHON": sys.executable,
        "JAVA_HOME": environment.get("JAVA_HOME") or str(Path(java).resolve().parent.parent),
    }


def _alive_workers(page: str) -> int | None:
    """Return how many workers the master knows; None while it does not answer."""
    try:
        with urllib.request.urlopen(f"{page}/json/", timeout=5) as answer:  # a page of our own, on loopback
            return int(json.load(answer)["aliveworkers"])
    except (urllib.error.URLError, OSError, ValueError, KeyError):
        return None


def _answers(port: int) -> bool:
    with socket.socket() as connection:
        connection.settimeout(2)
        return connection.connect_ex((LOOPBACK, port)) == 0


def _refuse_taken_ports(ports: ClusterPorts) -> None:
    for name, port in vars(ports).items():
        if _answers(port):
            option = f"--{name.replace('_', '-')}-port"
            raise MisconfiguredError(
                f"Port {port} of {LOOPBACK} is in use: another cluster may be running here. Stop it, or choose another "
                f"port with {option}."
            )


@contextmanager
def _sole_user(folder: Path) -> Iterator[None]:
    with (folder / "cluster.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise MisconfiguredError(
                f"A cluster already runs in {folder}: its metastore admits one. Use that one, or choose another folder "
                "with --folder."
            ) from error
        yield


def _raise_for_ended(processes: dict[str, subprocess.Popen[bytes]], folder: Path) -> None:
    """Raise SparkClusterError where a part that is needed has ended; a worker may end, and its work goes elsewhere."""
    for name, process in processes.items():
        if process.poll() is not None and not name.startswith("worker"):
            log = folder / "logs" / f"{name}.log"
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_SHOWN_LINES:]
            raise SparkClusterError(
                f"Spark's {name} ended with {process.returncode}. The last lines of {log}:\n" + "\n".join(lines)
            )


def _stop(processes: dict[str, subprocess.Popen[bytes]]) -> None:
    """End the parts, the last started first, so that each still finds what it says goodbye to."""
    for process in reversed(processes.values()):
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        # An executor is of its worker's group; it ends by itself, and must not when the folder goes.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def serve(folder: Path, ports: ClusterPorts, size: ClusterSize) -> None:
    """Run a cluster until Ctrl-C, SIGTERM or the end of its master or server; say where it is, and who ends."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print("Starting Spark: a master, its workers and a server …", flush=True)
    with suppress(KeyboardInterrupt), running_cluster(folder, ports=ports, size=size) as cluster:
        print(_words(cluster, folder, ports, size), flush=True)
        lost: set[int] = set()
        while True:
            time.sleep(1)
            _raise_for_ended(cluster.processes, folder.absolute())
            for name, process in cluster.processes.items():
                if process.poll() is not None and process.pid not in lost:
                    lost.add(process.pid)
                    print(f"{name} has ended ({process.returncode}); its tasks go to the others.", flush=True)
    print("Stopped. Tables and metastore stay.", flush=True)


def _words(cluster: RunningCluster, folder: Path, ports: ClusterPorts, size: ClusterSize) -> str:
    settings = "".join(f"{name}={value} " for name, value in _differing(cluster, folder, ports).items())
    return (
        f"Master    {cluster.master_page}  ({size.workers} workers, each {size.cores} cores and {size.memory_mb} MB)\n"
        f"Connect   {cluster.connect}\n"
        f"Thrift    {cluster.thrift}\n"
        f"Tables    {cluster.warehouse}\n"
        f"Logs      {folder / 'logs'}\n"
        f"Now, in another terminal:  TARGET=spark {settings}make run\n"
        "Ctrl-C stops the cluster. It listens on loopback alone, without a password."
    )


def _differing(cluster: RunningCluster, folder: Path, ports: ClusterPorts) -> dict[str, str]:
    """Return the settings that a run needs because they are not the defaults."""
    usual = ClusterPorts()
    found = cluster.environment
    named = {
        "SEGMENTATION_SPARK_CONNECT": ports.connect != usual.connect,
        "SEGMENTATION_SPARK_THRIFT": ports.thrift != usual.thrift,
        "SEGMENTATION_SPARK_WAREHOUSE": folder.absolute() != _default_folder(os.environ.get("SEGMENTATION_DATA_DIR")),
    }
    return {name: found[name] for name, differs in named.items() if differs}


def _default_folder(data_dir: str | None) -> Path:
    return Path(data_dir or PROJECT_DIR / "data").absolute() / DEFAULT_FOLDER


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the options and serve; return the exit code."""
    ports, size = ClusterPorts(), ClusterSize()
    parser = argparse.ArgumentParser(
        prog="python -m segmentation_job.spark_cluster",
        description="A standalone Spark cluster on loopback, in the foreground.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--folder", type=Path, default=_default_folder(os.environ.get("SEGMENTATION_DATA_DIR")))
    parser.add_argument("--workers", type=int, default=size.workers, help="worker processes")
    parser.add_argument("--cores", type=int, default=size.cores, help="of each worker")
    parser.add_argument("--memory-mb", type=int, default=size.memory_mb, help="heap of each worker's executor")
    parser.add_argument("--driver-memory-mb", type=int, default=size.driver_memory_mb, help="heap of the server")
    for name, port in vars(ports).items():
        parser.add_argument(f"--{name.replace('_', '-')}-port", type=int, default=port)
    chosen = parser.parse_args(arguments)
    try:
        serve(
            chosen.folder,
            ClusterPorts(*(getattr(chosen, f"{name}_port") for name in vars(ports))),
            ClusterSize(chosen.workers, chosen.cores, chosen.memory_mb, chosen.driver_memory_mb),
        )
    except SegmentationError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
