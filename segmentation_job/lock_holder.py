"""Who holds the warehouse: a lock of a living process told from one whose process is gone or elsewhere."""

import fcntl
import os
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from segmentation_job.errors import WarehouseLockedError

_PID = re.compile(r"\(PID (?P<pid>\d+)\)")
_SHOWN_CHARACTERS = 200


@dataclass(frozen=True)
class LockHolder:
    """A process of this machine that has a file open.

    command: its command line, shortened. since: when it began, UTC; None where the system does not tell.
    is_orphan: whether its parent is process 1, as where who started it is gone.
    """

    pid: int
    command: str
    since: datetime | None
    is_orphan: bool


@contextmanager
def locks_explained(path: Path) -> Iterator[None]:
    """Turn DuckDB's refusal of a locked file into WarehouseLockedError, which says who holds it and what to do."""
    try:
        yield
    except duckdb.IOException as error:
        if "Could not set lock" not in str(error):
            raise
        raise WarehouseLockedError(describe_lock(path, str(error))) from error


@contextmanager
def holding(path: Path) -> Iterator[None]:
    """Hold a lock file of this machine; raise WarehouseLockedError where another process holds it.

    The lock of a process ends with it, however it ends.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise WarehouseLockedError(describe_lock(path, f"(PID {file.read().strip()})")) from error
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield


def describe_lock(path: Path, words: str) -> str:
    """Say who holds a file, and the remedy. words: DuckDB's, which name the holder's pid where the system knows it."""
    match = _PID.search(words)
    pid = int(match["pid"]) if match else None
    holder = find_holder(pid, path) if pid is not None else None
    if holder is None:
        who = "a process whose id is not known here" if pid is None else f"PID {pid}"
        return (
            f"{path} was locked by {who}, and no process of this machine has it open now. A process that has ended, "
            "killed or not, holds no lock: try again. Where the answer stays the same, the holder runs in another "
            "container or on another host that has the folder mounted: look for a run there and end it, and keep the "
            "folder on a local disk of one machine, for a lock over NFS can outlive its process."
        )
    since = f", since {holder.since:%Y-%m-%d %H:%M:%S} UTC" if holder.since else ""
    # In a container the first process may well be who started it.
    orphan = " Its parent is process 1: a killed run may have left it behind." if holder.is_orphan else ""
    return (
        f"{path} is open in another process, PID {holder.pid}{since}: {holder.command}.{orphan}\n"
        f"It is alive. Wait until it has ended; where it hangs, end it with `kill {holder.pid}` (`kill -9` where that "
        "is not heard): nothing is lost, for the step that it was doing is repaired by running it again."
    )


def find_holder(pid: int, path: Path) -> LockHolder | None:
    """Return the process of this machine that has this id and the file open; None where there is none.

    Where the system does not tell which files a process has open, a living process counts as the holder.
    """
    process = Path("/proc") / str(pid)
    if not process.parent.joinpath("self").exists():
        return LockHolder(pid, "its command line is not known", None, is_orphan=False) if is_alive(pid) else None
    try:
        state, parent, started = _status(process)
        command = process.joinpath("cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    # A zombie has closed its files: its lock is gone, only its parent has not yet asked how it ended.
    if state in ("Z", "X") or not _has_open(process, path):
        return None
    words = shlex.join(word.decode(errors="replace") for word in command.split(b"\0") if word)
    if len(words) > _SHOWN_CHARACTERS:
        words = f"{words[:_SHOWN_CHARACTERS]} …"
    return LockHolder(pid, words or process.joinpath("comm").read_text().strip(), started, is_orphan=parent == 1)


def _status(process: Path) -> tuple[str, int, datetime | None]:
    """The state, the parent's id and the begin of a process."""
    # The name before them, in parentheses, may hold anything.
    fields = process.joinpath("stat").read_text().rpartition(")")[2].split()
    started = None
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/stat").read_text().splitlines()
        booted = next(int(line.split()[1]) for line in lines if line.startswith("btime "))
        started = datetime.fromtimestamp(booted + int(fields[19]) / os.sysconf("SC_CLK_TCK"), UTC)
    return fields[0], int(fields[1]), started


def _has_open(process: Path, path: Path) -> bool:
    try:
        wanted = path.stat()
        for descriptor in process.joinpath("fd").iterdir():
            with suppress(FileNotFoundError):
                found = descriptor.stat()
                if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                    return True
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def is_alive(pid: int) -> bool:
    """Say whether a process of this machine has this id."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True
