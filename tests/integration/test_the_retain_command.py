"""`segmentation retain` as a person runs it: the dry run changes nothing, a warehouse in use is left alone."""

import os
import shutil
import time
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from segmentation_job.steps import ExitCode
from tests.conftest import FIRST_NIGHT, CopyNights
from tests.support.nights import Nights

# What the refit of the first of November looks back to, computed as features only.
LOOKED_BACK_TO = date(2017, 8, 3)


@pytest.fixture(scope="module")
def nights(first_night: Nights, copy_nights: CopyNights) -> Nights:
    copied = copy_nights(first_night, "retained", SEGMENTATION_KEPT_FEATURE_DAYS="20")
    old = copied.source_dir / "logs" / "dag_2017-01-01.log"
    old.parent.mkdir(exist_ok=True)
    old.write_text("an old line\n")
    os.utime(old, (time.time() - 100 * 86400,) * 2)
    return copied


def promoted_dates(nights: Nights) -> dict[date, bool]:
    return dict(nights.query("select as_of_date, has_labels from promoted.dates"))


def every_file(folder: Path) -> dict[Path, Any]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_locked_warehouse_ends_it_with_exit_code_6_and_nothing_goes(nights: Nights) -> None:
    before = every_file(nights.source_dir / "logs")
    with duckdb.connect(str(nights.warehouse)):
        finished = nights.command("retain")
    assert finished.exit_code == ExitCode.WAREHOUSE_LOCKED, finished.output
    assert every_file(nights.source_dir / "logs") == before


def test_the_dry_run_says_what_would_go_and_the_retention_lets_just_that_go(nights: Nights) -> None:
    assert LOOKED_BACK_TO in promoted_dates(nights)
    before = every_file(nights.source_dir)
    dry = nights.command("retain", "--dry-run")
    assert dry.exit_code == ExitCode.OK, dry.output
    assert every_file(nights.source_dir) == before
    assert f"Dates: {LOOKED_BACK_TO}" in dry.output.replace("\n", " ")
    assert "Nothing was changed" in dry.output

    done = nights.command("retain")
    assert done.exit_code == ExitCode.OK, done.output
    counted = [line.split() for line in dry.output.splitlines() if line.strip().startswith(("features", "logs of the"))]
    assert len(counted) == 2
    for line in counted:
        assert line in [other.split() for other in done.output.splitlines()]
    dates = promoted_dates(nights)
    assert dates[FIRST_NIGHT]
    assert all(day.day == 1 or (FIRST_NIGHT - day).days <= 20 for day in dates)
    assert not (nights.source_dir / "logs" / "dag_2017-01-01.log").exists()


def test_status_is_read_without_a_warehouse_at_all(nights: Nights) -> None:
    away = nights.warehouse.with_name("away")
    shutil.move(nights.warehouse, away)
    try:
        finished = nights.command("status")
    finally:
        shutil.move(away, nights.warehouse)
    assert finished.exit_code == ExitCode.OK, finished.output
    assert f"Night of {FIRST_NIGHT}" in finished.output
    assert "Nothing wants anybody." in finished.output
    lines_of_paths = ("Disk", "Served", "Report")
    assert max(len(line) for line in finished.output.splitlines() if not line.startswith(lines_of_paths)) <= 100
