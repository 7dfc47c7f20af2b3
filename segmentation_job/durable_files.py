"""Files and links that are whole whenever a process dies: on disk before they count, swapped in one step."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def sync(path: Path) -> None:
    """Have a file, or the entries of a folder, on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """Give the place to write a file to, and put it in the target's place at the end of the block, on disk.

    Whoever opens the target meets the old file or the new one. A block that fails, or is killed, leaves the target as
    it was, and beside it `.<name>.unfinished`, which the next one writes over.
    """
    unfinished = target.with_name(f".{target.name}.unfinished")
    yield unfinished
    sync(unfinished)
    unfinished.replace(target)
    sync(target.parent)


def point_link(link: Path, target: Path) -> None:
    """Let a symbolic link point to a file, in one step: a reader meets the old target or the new, never none."""
    link.parent.mkdir(parents=True, exist_ok=True)
    # The sources share a serving link: two that point it at one moment would trip over each other's unfinished one.
    with one_at_a_time(link.parent):
        unfinished = link.with_name(f".{link.name}.unfinished")
        unfinished.unlink(missing_ok=True)
        unfinished.symlink_to(os.path.relpath(target, link.parent))
        unfinished.replace(link)
        sync(link.parent)


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Wait for every other process in such a block on the folder; the lock of a process that is killed ends with it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
