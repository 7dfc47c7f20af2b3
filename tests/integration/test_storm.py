"""Steps killed at random moments while BI reads: a small storm. `make storm` is the large one."""

import random
import zlib
from datetime import date

import pytest

from segmentation_job.run_log import read_run_log
from tests.conftest import FIRST_NIGHT, CopyNights
from tests.support.nights import Nights
from tests.support.rows import count_differences
from tests.support.storm import FilesBeside, Readers, Storm, reading

KILLS = {"build_features": 1, "promote": 2, "build_marts": 1, "publish": 2}
SEED = zlib.crc32(str(date.today()).encode())  # noqa: DTZ011 - other moments every day
START_OF_A_PROCESS = 1.0


@pytest.fixture(scope="module")
def storm_and_readers(first_night: Nights, copy_nights: CopyNights) -> tuple[Storm, Readers]:
    """The first night run again, its steps killed on the way, while two clients read."""
    nights = copy_nights(first_night, "storm")
    storm = Storm(nights, random.Random(SEED))
    for entry in read_run_log(nights.source_dir / "run_log.jsonl"):
        if entry.ended_at is not None:
            storm.durations[entry.step] = (entry.ended_at - entry.started_at).total_seconds() + START_OF_A_PROCESS
    with reading(nights.serving_link, ("1.0.0", "2.0.0"), niceness=10) as readers:
        storm.after_kill = readers.note_served_version
        storm.run(FIRST_NIGHT, KILLS, first="build_features")
        readers.note_served_version()
    return storm, readers


def test_a_night_whose_steps_are_killed_ends_with_the_rows_of_one_that_was_left_alone(
    storm_and_readers: tuple[Storm, Readers], first_night: Nights
) -> None:
    storm, _ = storm_and_readers
    assert storm.kills, f"seed {SEED}"
    promoted = count_differences(storm.nights.warehouse, first_night.warehouse, "promoted")
    served = count_differences(storm.nights.serving_link, first_night.serving_link, "main", leave_out={"run_log"})
    assert promoted["labels"].compared > 200
    assert served["customer_segments"].compared > 200
    different = {table: found for table, found in {**promoted, **served}.items() if found.different}
    assert different == {}, f"seed {SEED}: {storm.kills}"


def test_readers_meet_no_error_and_no_mix_of_two_files_while_steps_are_killed(
    storm_and_readers: tuple[Storm, Readers],
) -> None:
    storm, readers = storm_and_readers
    assert readers.failed() == [], f"seed {SEED}: {storm.kills}"
    assert readers.mixed() == [], f"seed {SEED}: {storm.kills}"
    assert set(readers.reads()) == {"1.0.0", "2.0.0"}
    assert len(readers.versions) >= 2


def test_nothing_that_a_killed_step_left_unfinished_outlives_the_night(
    storm_and_readers: tuple[Storm, Readers],
) -> None:
    storm, _ = storm_and_readers
    assert FilesBeside.of(storm.nights).unfinished == frozenset(), f"seed {SEED}: {storm.kills}"
