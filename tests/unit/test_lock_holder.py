"""A locked warehouse names its holder and the remedy, and a dead process is told from a living one."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from segmentation_job.errors import WarehouseLockedError
from segmentation_job.lock_holder import describe_lock, find_holder, locks_explained
from segmentation_job.warehouse.duckdb_engine import DuckDBWarehouse

HOLD = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
SECRET = "only-in-the-environment"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "warehouse.duckdb"


@pytest.fixture
def holder(path: Path) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PASSWORD": SECRET},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
        process.kill()


def test_a_locked_warehouse_names_the_living_holder_its_command_and_what_ends_it(
    path: Path, holder: "subprocess.Popen[str]"
) -> None:
    with pytest.raises(WarehouseLockedError) as refused:
        DuckDBWarehouse(path, threads=1, memory_limit="100MB")
    said = str(refused.value)
    assert f"PID {holder.pid}, since 20" in said
    assert f"`kill {holder.pid}`" in said
    assert sys.executable in said
    assert SECRET not in said


def test_the_holder_is_found_with_the_time_at_which_it_began(path: Path, holder: "subprocess.Popen[str]") -> None:
    found = find_holder(holder.pid, path)
    assert found is not None
    assert found.since is not None
    assert abs(datetime.now(UTC) - found.since) < timedelta(minutes=5)
    assert not found.is_orphan


def test_a_holder_that_was_killed_is_said_to_be_gone_and_its_lock_with_it(
    path: Path, holder: "subprocess.Popen[str]"
) -> None:
    with pytest.raises(duckdb.IOException) as refused:
        duckdb.connect(str(path))
    holder.kill()
    # Not waited for: a zombie holds no lock either.
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
    said = describe_lock(path, str(refused.value))
    assert f"was locked by PID {holder.pid}" in said
    assert "try again" in said
    assert "is alive" not in said
    holder.wait()
    assert describe_lock(path, str(refused.value)) == said
    DuckDBWarehouse(path, threads=1, memory_limit="100MB").__exit__(None, None, None)


def test_a_pid_that_another_container_has_given_is_not_taken_for_a_process_of_this_machine(path: Path) -> None:
    path.touch()
    said = describe_lock(path, f"Conflicting lock is held in python3.11 (PID {os.getpid()}).")
    assert "another container" in said
    assert "`kill" not in said
    assert "whose id is not known here" in describe_lock(path, "Could not set lock on file: it is locked")


def test_another_error_than_a_lock_stays_what_it_is(path: Path) -> None:
    path.write_text("no database")
    with pytest.raises(duckdb.IOException), locks_explained(path):
        duckdb.connect(str(path))
