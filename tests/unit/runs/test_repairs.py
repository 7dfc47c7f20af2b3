"""Which dates want a repair, from the log of runs; and which late rows are counted."""

import os
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from segmentation_job.run_log import LoggedStep
from segmentation_job.runs.late_rows import describe_late_rows, late_rows
from segmentation_job.runs.repairs import is_recent, stopped_dates

DAY = date(2018, 1, 2)
AT = datetime(2018, 1, 2, 2, tzinfo=UTC)
FAILED = LoggedStep("run", DAY, "gate_features", 1, AT, AT, "failed")
# A number that no process has: the kernel's largest is below it.
NOBODY = 2**22 + 1


def ended(step: str, outcome: str = "done", day: date = DAY) -> LoggedStep:
    return replace(FAILED, as_of=day, step=step, outcome=outcome)


def stopped(*entries: LoggedStep, is_under_way: bool = False) -> dict[date, str]:
    return {each.as_of: each.reason for each in stopped_dates(entries, lambda _: is_under_way)}


def test_a_date_whose_last_step_failed_is_stopped() -> None:
    assert stopped(ended("check"), FAILED) == {DAY: "its run stopped: step gate_features failed"}


def test_a_date_whose_step_never_ended_was_cut_off() -> None:
    cut_off = replace(FAILED, outcome="unfinished", ended_at=None, pid=NOBODY)
    assert stopped(cut_off) == {DAY: "its run stopped: step gate_features was cut off"}


def test_a_date_whose_step_still_runs_is_under_way() -> None:
    assert stopped(replace(FAILED, outcome="unfinished", ended_at=None, pid=os.getpid())) == {}


@pytest.mark.parametrize("step", ["check", "build_features", "promote"])
def test_a_date_whose_next_step_was_killed_before_it_could_tell_the_log_is_stopped(step: str) -> None:
    assert stopped(ended("check"), ended(step)) == {DAY: f"its run stopped: step {step} was the last one done"}


def test_a_date_between_two_steps_is_under_way() -> None:
    assert stopped(ended("build_features"), is_under_way=True) == {}
    assert stopped(ended("build_features", "failed"), is_under_way=True) != {}


def test_a_run_may_be_between_two_steps_for_an_hour() -> None:
    assert is_recent(FAILED, AT + timedelta(minutes=59))
    assert not is_recent(FAILED, AT + timedelta(minutes=61))


def test_a_date_that_was_run_to_its_end_later_is_not_stopped() -> None:
    assert stopped(FAILED, ended("publish")) == {}


def test_a_date_whose_report_failed_is_published_and_wants_no_repair() -> None:
    assert stopped(ended("publish"), ended("report", "failed")) == {}
    assert stopped(ended("promote"), ended("report", "failed")) != {}


def test_a_date_that_was_repaired_within_the_run_of_another_is_published_by_that() -> None:
    assert stopped(FAILED, ended("promote"), ended("publish", day=date(2018, 1, 3))) == {}
    assert stopped(FAILED, ended("publish", day=date(2018, 1, 3))) != {}


def test_a_date_that_was_refused_was_never_begun() -> None:
    assert stopped(ended("check", "failed")) == {}
    assert stopped(ended("publish"), ended("check", "failed")) == {}


def test_a_date_for_which_nothing_is_left_to_do_is_not_stopped() -> None:
    assert stopped(FAILED, ended("check", "skipped")) == {}


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
