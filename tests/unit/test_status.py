"""The status that a person reads, from a run log and a published file written by hand."""

import fcntl
import io
import json
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from rich.console import Console

from segmentation_job.durable_files import point_link
from segmentation_job.errors import SegmentationError
from segmentation_job.run_log import LoggedStep
from segmentation_job.settings import Settings
from segmentation_job.status import print_status, read_status, runs_of_date, unfinished_steps
from segmentation_job.steps import STEPS

NIGHT, BEFORE = date(2026, 5, 4), date(2026, 5, 3)
BEGUN = datetime.fromisoformat("2026-05-04 02:00")
NAMES = [step.name for step in STEPS]


def logged(
    step: str, outcome: str = "done", *, run: str = "scheduled", attempt: int = 1, minute: int = 0, as_of: date = NIGHT
) -> LoggedStep:
    start = BEGUN + timedelta(minutes=minute)
    end = None if outcome == "unfinished" else start + timedelta(seconds=90)
    return LoggedStep(run, as_of, step, attempt, start, end, outcome)


def write_log(settings: Settings, entries: Sequence[LoggedStep]) -> None:
    """Write the entries as steps of the job do."""
    settings.source_data_dir.mkdir(parents=True, exist_ok=True)
    lines = []
    for entry in entries:
        key = {"as_of": str(entry.as_of), "step": entry.step, "attempt": entry.attempt}
        lines.append({**key, "event": "started", "at": entry.started_at.isoformat(), "run_id": entry.run_id})
        if entry.ended_at:
            ended = {"event": "ended", "at": entry.ended_at.isoformat(), "outcome": entry.outcome}
            lines.append({**key, **ended, "details": entry.details})
    settings.run_log_path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def publish(settings: Settings, *statements: str) -> None:
    settings.published_dir.mkdir(parents=True, exist_ok=True)
    path = settings.published_dir / f"segments_{NIGHT}_20260504T020500000000Z.duckdb"
    with duckdb.connect(str(path)) as connection:
        for statement in (
            "create table row_accounts (as_of_date date, entity varchar, outcome varchar, row_count bigint)",
            "create table segmentation_runs (as_of_date date, lens varchar, stale_reason varchar)",
            "create table segment_alarms (as_of_date date, lens varchar, kind varchar, evidence varchar,"
            " proposal varchar)",
            *statements,
        ):
            connection.execute(statement)
    point_link(settings.current_link, path)
    point_link(settings.serving_link, path)


def said(settings: Settings, as_of: date | None = None) -> str:
    """What `segmentation status` prints, 100 columns wide."""
    console = Console(width=100, highlight=False, record=True, file=io.StringIO())
    print_status(read_status(settings, as_of), settings, console)
    return console.export_text()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.from_environment({"SEGMENTATION_DATA_DIR": str(tmp_path)})


def test_before_the_first_run_it_says_how_to_begin(settings: Settings) -> None:
    text = said(settings)
    assert "Nothing was run yet" in text
    assert "make run" in text
    assert "nothing is published yet" in text


def test_a_night_is_shown_with_every_step_its_attempts_and_seconds(settings: Settings) -> None:
    entries = [
        logged(NAMES[0], "failed", as_of=BEFORE, run="yesterday"),
        logged(NAMES[0], "failed", minute=1),
        *(logged(name, attempt=2 if number == 0 else 1, minute=2 + 2 * number) for number, name in enumerate(NAMES)),
    ]
    write_log(settings, entries)
    night = read_status(settings).night
    assert night is not None
    assert [step.name for step in night.steps] == NAMES
    assert {step.outcome for step in night.steps} == {"done"}
    assert [(step.attempts, step.seconds) for step in night.steps] == [(2, 180.0), *[(1, 90.0)] * (len(NAMES) - 1)]
    assert night.as_of == NIGHT
    earlier = read_status(settings, BEFORE).night
    assert earlier is not None
    assert [step.outcome for step in earlier.steps] == ["failed", *[""] * (len(NAMES) - 1)]
    with pytest.raises(SegmentationError, match="newest date is 2026-05-04"):
        read_status(settings, date(2020, 1, 1))


def test_a_check_that_finds_nothing_to_do_hides_no_night(settings: Settings) -> None:
    done = [logged(name, minute=2 * number) for number, name in enumerate(NAMES)]
    write_log(settings, [*done, logged(NAMES[0], "skipped", run="again", attempt=2, minute=300)])
    night = read_status(settings).night
    assert night is not None
    assert {step.outcome for step in night.steps} == {"done"}
    assert "Checked again at 2026-05-04 07:00:00 UTC: nothing had changed." in said(settings)


def test_steps_run_by_hand_are_a_run_from_one_check_to_the_next_or_go_on_with_the_one_before() -> None:
    steps = [
        logged("check", run=f"{NIGHT}#1"),
        logged("build_facts", run=f"{NIGHT}#1"),
        logged("check", run=f"{NIGHT}#2", attempt=2),
        logged("build_facts", run=f"{NIGHT}#2", attempt=2),
        logged("check", run="scheduled", attempt=3),
        logged("build_marts", "failed", run="scheduled"),
        logged("build_marts", run=f"{NIGHT}#2", attempt=2),
    ]
    assert [len(run) for run in runs_of_date(steps, NIGHT)] == [2, 2, 3]


def test_a_step_that_never_ended_is_named_until_it_is_tried_again() -> None:
    killed = logged("promote", "unfinished")
    assert unfinished_steps([killed]) == [killed]
    assert unfinished_steps([killed, logged("promote", attempt=2)]) == []
    assert unfinished_steps([killed, logged("promote", attempt=2, as_of=BEFORE)]) == [killed]


def test_what_wants_somebody_is_said_with_its_remedy(settings: Settings) -> None:
    write_log(settings, [logged("check", minute=1), logged("promote", "unfinished", minute=3)])
    publish(
        settings,
        f"insert into row_accounts values (date '{NIGHT}', 'orders', 'kept', 900),"
        f" (date '{NIGHT}', 'orders', 'duplicate', 70), (date '{NIGHT}', 'orders', 'amount_missing', 30),"
        f" (date '{BEFORE}', 'orders', 'kept', 5)",
        f"insert into segmentation_runs values (date '{BEFORE}', 'overall', 'source rows changed'),"
        f" (date '{NIGHT}', 'overall', null)",
        f"insert into segment_alarms values (date '{NIGHT}', 'overall', 'emerging', 'Some [grew].', 'Refit.'),"
        f" (date '{NIGHT - timedelta(days=8)}', 'overall', 'retiring', 'Long ago.', 'Nothing.')",
    )
    text = " ".join(said(settings).split())
    assert "orders 1,000 900 100 duplicate 70, amount_missing 30" in text
    assert f"{NIGHT}, since" in text
    assert "1 date would come out otherwise today. Repair: segmentation repair" in text
    assert f"source rows changed: {BEFORE}" in text
    assert "emerging: Some [grew]. Refit." in text
    assert "Long ago" not in text
    assert f"promote of {NIGHT}, attempt 1, began 2026-05-04 02:03:00 UTC and never ended" in text
    assert f"make run AS_OF={NIGHT}" in text
    assert "Nothing wants anybody" not in text
    assert max(len(line) for line in said(settings).splitlines() if line.startswith(" ")) <= 100


def test_a_night_that_is_not_published_shows_the_rows_that_it_counted_itself(settings: Settings) -> None:
    entry = logged("build_features")
    counted = {"orders": {"in": 10, "kept": 7, "out_of_scope": 1, "quarantined": {"duplicate": 2}}}
    entry.details["rows"] = counted
    write_log(settings, [entry])
    (rows,) = read_status(settings).rows
    assert (rows.entity, rows.rows_in, rows.kept, rows.quarantined) == ("orders", 10, 7, {"duplicate": 2})


def test_it_can_be_asked_while_a_run_holds_the_warehouse(settings: Settings) -> None:
    write_log(settings, [logged("check")])
    publish(settings)
    with settings.warehouse_path.open("w") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        assert "Nothing wants anybody." in said(settings)
    assert settings.warehouse_path.stat().st_size == 0
