"""A change of several files that is prepared aside and then put in place, whole, whatever kills the process.

Everything is written into a folder first, then a journal of what is to be put where. Before the journal is there,
nothing has changed; from then on whoever meets it can put the rest in place, as often as it takes.
"""

import fcntl
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

from segmentation_job.durable_files import point_link, sync, written_whole
from segmentation_job.errors import WarehouseLockedError

JOURNAL_NAME: Final = "journal.json"


@dataclass(frozen=True)
class Move:
    """One step of a change.

    replace: `prepared` takes the place of `target`; where target was another file by then (`unchanged` does not match
    it), it stays. link: the symbolic link `target` points to `prepared`. remove: `target` goes.
    unchanged: size and time of change (ns) that the target must still have; None asks nothing.
    """

    kind: Literal["replace", "link", "remove"]
    target: str
    prepared: str = ""
    unchanged: tuple[int, int] | None = None


def stamp_of(path: Path) -> tuple[int, int]:
    """Return size and time of change of a file, by which a later one is told from it."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns


@contextmanager
def sole_change(folder: Path) -> Iterator[None]:
    """Keep other processes from changing the same files; raise WarehouseLockedError where one does.

    folder: where the change is prepared. What a process that was killed had put into its journal is put in place
    first, what it had only prepared is removed.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock_path = folder.with_name(f"{folder.name}.lock")
    with lock_path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WarehouseLockedError(
                f"People are being forgotten in {folder.parent} by another process (it holds {lock_path}): wait until "
                "it has ended."
            ) from None
        put_in_place(folder)
        yield


def finish_change(folder: Path) -> None:
    """Put in place what a killed process had prepared to the end; raise WarehouseLockedError where it lives."""
    if folder.exists():
        with sole_change(folder):
            pass


def commit_change(folder: Path, moves: Sequence[Move]) -> None:
    """Write the journal of a prepared change, from which moment it counts, and put everything in place.

    Only within `sole_change`. What is moved must lie on the file system of its target.
    """
    for move in moves:
        if move.kind == "replace":
            sync(Path(move.prepared))
    with written_whole(folder / JOURNAL_NAME) as unfinished:
        unfinished.write_text(json.dumps([asdict(move) for move in moves]))
    put_in_place(folder)


def put_in_place(folder: Path) -> None:
    """Carry out the journal of a folder, what is done already passed over, and remove the folder."""
    if not folder.exists():
        return
    journal = folder / JOURNAL_NAME
    if journal.exists():
        for content in json.loads(journal.read_text()):
            _carry_out(Move(**content))
        journal.unlink()
        sync(folder)
    shutil.rmtree(folder)


def _carry_out(move: Move) -> None:
    target = Path(move.target)
    if move.kind == "remove":
        target.unlink(missing_ok=True)
    elif move.kind == "link":
        point_link(target, Path(move.prepared))
    elif Path(move.prepared).exists():
        if move.unchanged is not None and (not target.exists() or stamp_of(target) != tuple(move.unchanged)):
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        Path(move.prepared).replace(target)
    if target.parent.exists():
        sync(target.parent)
