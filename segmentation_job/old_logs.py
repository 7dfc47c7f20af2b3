"""Log files and lines of the run log that have been kept long enough."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from segmentation_job.run_log import drop_steps_before, steps_before
from segmentation_job.settings import Settings

KEPT_RUN_LOG_DAYS: Final = 400
"""A year of nights and a month, so that a night can be set beside the same night of the year before."""


@dataclass(frozen=True)
class OldLogs:
    """Logs of one kind that are not kept any more. files: to remove. lines: of a file that stays. size: in bytes."""

    kind: str
    files: tuple[Path, ...]
    lines: int
    size: int


def log_folders(settings: Settings) -> dict[str, Path]:
    """Return the folders of log files by kind: only those inside the data folder, never another installation's."""
    return {
        "logs of the source": settings.source_data_dir / "logs",
        "logs of dbt": settings.source_data_dir / "dbt" / "logs",
        "logs of Airflow": settings.data_dir / "airflow" / "logs",
    }


def find_old_logs(settings: Settings, now: datetime) -> list[OldLogs]:
    """Find the log files and the lines of the run log that are not kept any more; changes nothing.

    now: with a time zone. A file is as old as its last line.
    """
    found = []
    for kind, folder in log_folders(settings).items():
        files = tuple(_files_before(folder, now - timedelta(days=settings.kept_log_days)))
        found.append(OldLogs(kind, files, 0, sum(path.lstat().st_size for path in files)))
    old = steps_before(settings.run_log_path, _run_log_start(now))
    found.append(OldLogs(f"lines of {settings.run_log_path.name}", (), len(old), sum(len(line) for line in old)))
    return [each for each in found if each.files or each.lines]


def remove_old_logs(settings: Settings, old: Sequence[OldLogs], now: datetime) -> None:
    """Remove what `find_old_logs` found, and the folders that it leaves empty.

    now: as it was given to `find_old_logs`.
    """
    roots = set(log_folders(settings).values())
    for each in old:
        for path in each.files:
            path.unlink(missing_ok=True)
            _remove_empty(path.parent, roots.__contains__)
        if each.lines:
            drop_steps_before(settings.run_log_path, _run_log_start(now))


def _run_log_start(now: datetime) -> datetime:
    return now - timedelta(days=KEPT_RUN_LOG_DAYS)


def _files_before(folder: Path, start: datetime) -> Iterator[Path]:
    """The files below a folder that were last written before a time; links are not followed."""
    for parent, _, names in os.walk(folder):
        for name in sorted(names):
            path = Path(parent) / name
            if path.lstat().st_mtime < start.timestamp():
                yield path


def _remove_empty(folder: Path, is_root: Callable[[Path], bool]) -> None:
    """Remove a folder and those above it while they are empty, but for the root."""
    while not is_root(folder):
        with suppress(OSError):
            folder.rmdir()
        if folder.exists():
            return
        folder = folder.parent
