"""The log of runs survives what runs do not."""

from datetime import date
from pathlib import Path

import pytest

from segmentation_job.run_log import logged_step, read_run_log

DAY = date(2018, 1, 1)


def test_a_step_is_logged_with_its_attempt_and_what_it_adds(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with logged_step(path, DAY, "check") as progress:
        progress.details = {"rows": 3}
    with logged_step(path, DAY, "check") as progress:
        progress.outcome = "skipped"
    first, second = read_run_log(path)
    assert (first.attempt, first.outcome, first.details) == (1, "done", {"rows": 3})
    assert (second.attempt, second.outcome) == (2, "skipped")
    assert first.ended_at is not None
    assert first.started_at <= first.ended_at


def test_a_step_that_raises_has_failed_and_says_of_what_kind(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"

    def fail() -> None:
        with logged_step(path, DAY, "promote"):
            raise ValueError("customer 7")

    with pytest.raises(ValueError, match="customer 7"):
        fail()
    (entry,) = read_run_log(path)
    assert (entry.outcome, entry.details) == ("failed", {"error": "ValueError"})


def test_a_step_that_was_killed_shows_as_unfinished_and_its_half_line_hides_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with logged_step(path, DAY, "check"):
        pass
    lines = path.read_text().splitlines()
    # The end of the first step never reached the disk; of a further line only half did.
    path.write_text(lines[0] + "\n" + lines[1][:20])
    with logged_step(path, DAY, "publish"):
        pass
    assert [(entry.step, entry.outcome) for entry in read_run_log(path)] == [
        ("check", "unfinished"),
        ("publish", "done"),
    ]
