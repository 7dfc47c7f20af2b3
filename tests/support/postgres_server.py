"""A PostgreSQL of its own in a folder, from the system's packages, on loopback."""

import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

LOOPBACK = "127.0.0.1"
DATABASE = "airflow"
USER = "airflow"
SYSTEM_USER = "postgres"
"""Who runs the server where the tests run as root, whom PostgreSQL refuses."""


class PostgresServerError(RuntimeError):
    """PostgreSQL is not installed or did not start."""


@dataclass(frozen=True)
class PostgresServer:
    """A server that runs, with an empty database."""

    version: str
    port: int
    password: str = field(repr=False)

    @property
    def sqlalchemy_url(self) -> str:
        """The address with its password: for an environment variable, never for a command line."""
        return f"postgresql+psycopg2://{USER}:{self.password}@{LOOPBACK}:{self.port}/{DATABASE}"


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running_postgres(folder: Path) -> Iterator[PostgresServer]:
    """Make a cluster in a folder, start it, and stop it on the way out; passwords are asked for on every connection.

    folder: empty, and such that the server's user may reach it. Raises PostgresServerError with what was said.
    """
    bin_dir = _bin_dir()
    password, port = secrets.token_urlsafe(24), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    password_file = folder / "password"
    descriptor = os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(password)
    if os.geteuid() == 0:
        shutil.chown(folder, SYSTEM_USER)
        shutil.chown(password_file, SYSTEM_USER)
    data = folder / "cluster"
    as_superuser: list[str | Path] = ["--username", USER, "--pwfile", password_file, "--auth", "scram-sha-256"]
    plain = ["--encoding", "UTF8", "--no-locale", "--no-sync"]
    _run(folder, [bin_dir / "initdb", "--pgdata", data, *as_superuser, *plain])
    password_file.unlink()
    # Metadata of a measurement need not outlive a power cut.
    options = f"-c listen_addresses={LOOPBACK} -c port={port} -c unix_socket_directories='' -c fsync=off"
    _run(
        folder, [bin_dir / "pg_ctl", "--pgdata", data, "--log", folder / "log", "--options", options, "--wait", "start"]
    )
    try:
        secret = {"PGPASSWORD": password}
        to_server = ["--host", LOOPBACK, "--port", str(port), "--username", USER]
        _run(folder, [bin_dir / "createdb", *to_server, DATABASE], **secret)
        version = _run(folder, [bin_dir / "postgres", "--version"]).strip()
        yield PostgresServer(version=version, port=port, password=password)
    finally:
        _run(folder, [bin_dir / "pg_ctl", "--pgdata", data, "--mode", "fast", "--wait", "stop"])


def _bin_dir() -> Path:
    on_path = shutil.which("initdb")
    found = [Path(on_path).resolve().parent] if on_path else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found:
        raise PostgresServerError("PostgreSQL is not installed: apt-get install postgresql")
    return found[-1]


def _run(folder: Path, command: list[str | Path], **environment: str) -> str:
    # The server's output goes to a file: a pipe would be held open as long as the server runs.
    is_root = os.geteuid() == 0
    with (folder / "commands.log").open("a+") as output:
        begun = output.tell()
        finished = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
            user=SYSTEM_USER if is_root else None,
            group=SYSTEM_USER if is_root else None,
            extra_groups=[] if is_root else None,
        )
        output.seek(begun)
        said = output.read()
    if finished.returncode != 0:
        raise PostgresServerError(f"{Path(command[0]).name} ended with {finished.returncode}:\n{said}")
    return said
