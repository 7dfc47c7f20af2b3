"""Which dates want a repair, from the log of runs; and which late rows are counted."""

import os
from dataclasses import replace
from datetime import UTC, date, datetime

from segmentation_job.run_log import LoggedStep
from segmentation_job.runs.late_rows import describe_late_rows, late_rows
from segmentation_job.runs.repairs import stopped_dates

DAY = date(2018, 1, 2)
AT = datetime(2018, 1, 2, 2, tzinfo=UTC)
FAILED = LoggedStep("run", DAY, "gate_features", 1, AT, AT, "failed")
# A number that no process has: the kernel's largest is below it.
NOBODY = 2**22 + 1


def test_a_date_whose_last_step_failed_is_stopped() -> None:
    (stopped,) = stopped_dates([replace(FAILED, step="check", outcome="done"), FAILED])
    assert (stopped.as_of, stopped.reason) == (DAY, "its run stopped: step gate_features failed")


def test_a_date_whose_step_never_ended_was_cut_off() -> None:
    (stopped,) = stopped_dates([replace(FAILED, outcome="unfinished", ended_at=None, pid=NOBODY)])
    assert stopped.reason == "its run stopped: step gate_features was cut off"


def test_a_date_whose_step_still_runs_is_under_way() -> None:
    assert stopped_dates([replace(FAILED, outcome="unfinished", ended_at=None, pid=os.getpid())]) == []


def test_a_date_that_was_run_to_its_end_later_is_not_stopped() -> None:
    assert stopped_dates([FAILED, replace(FAILED, step="publish", outcome="done")]) == []


def test_a_date_that_was_refused_was_never_begun() -> None:
    assert stopped_dates([replace(FAILED, step="check")]) == []


BEFORE = {("orders", date(2018, 1, 1)): (10, "a"), ("orders", date(2018, 1, 7)): (10, "a")}


def test_rows_within_the_horizon_are_not_late() -> None:
    # The dates after 6 January are those of the 7th on, which the night of the 10th repairs.
    after = {**BEFORE, ("orders", date(2018, 1, 6)): (1, "b")}
    assert late_rows(BEFORE, after, date(2018, 1, 10), 3).days == ()


def test_rows_before_the_horizon_are_late() -> None:
    after = {**BEFORE, ("orders", date(2018, 1, 5)): (1, "b")}
    late = late_rows(BEFORE, after, date(2018, 1, 10), 3)
    assert (late.days, late.rows_more, late.rows_fewer, late.entities) == ((date(2018, 1, 5),), 1, 0, ("orders",))
    assert describe_late_rows(late, 3).startswith("Late rows: 1 more and 0 fewer rows of orders on 2018-01-05, before")


def test_rows_that_went_and_rows_that_changed_are_late_too() -> None:
    after = {("orders", date(2018, 1, 1)): (8, "c"), ("orders", date(2018, 1, 2)): (0, "0")}
    late = late_rows({**BEFORE, ("orders", date(2018, 1, 2)): (0, "1")}, after, date(2018, 1, 10), 0)
    assert (late.days, late.rows_fewer) == ((date(2018, 1, 1), date(2018, 1, 2), date(2018, 1, 7)), 12)
    assert "rows of orders on 3 days from 2018-01-01 to 2018-01-07" in describe_late_rows(late, 0)
