"""The steps of a nightly run, in order, and what their exit codes mean.

The DAG, the progress that `segmentation run` shows and the tests all read this one list. Airflow imports
this module whenever it parses the DAG, so it imports nothing beyond the standard library.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from typing import Final

DAG_ID: Final = "customer_segmentation"
RETENTION_DAG_ID: Final = "segmentation_retention"
POOL: Final = "duckdb_writer"
PUBLISHING_STEP: Final = "publish"


class ExitCode(IntEnum):
    """What a `segmentation` command says to whoever started it."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    SOURCE_NOT_READY = 3
    GATE_FAILED = 4
    MISCONFIGURED = 5
    WAREHOUSE_LOCKED = 6
    NOTHING_TO_DO = 99


@dataclass(frozen=True)
class Step:
    """One task of a DAG: one `segmentation` command in a process of its own.

    name: the task's id. arguments: what follows `segmentation`, before `--as-of`. title: for people who
    watch a run. purpose: one line for the DAG's documentation. accepts_force: takes `--force`.
    awaits_source: exit code 3 (source not ready) is worth a retry, because data may still land.
    is_of_a_date: takes `--as-of`.
    """

    name: str
    arguments: tuple[str, ...]
    title: str
    purpose: str
    accepts_force: bool = False
    awaits_source: bool = False
    is_of_a_date: bool = True

    def command(self, as_of: str, *, force: bool = False) -> list[str]:
        """Return the command line of this step.

        as_of: ISO date the run is for; unused where the step is of no date. force: add `--force` where the step
        accepts it.
        """
        command = ["segmentation", *self.arguments, *(["--as-of", as_of] if self.is_of_a_date else [])]
        if force and self.accepts_force:
            command.append("--force")
        return command


STEPS: Final[tuple[Step, ...]] = (
    Step(
        name="check",
        arguments=("check",),
        title="Check the sources",
        purpose="are all sources there and fresh enough for this date, and is there anything to do?",
        accepts_force=True,
        awaits_source=True,
    ),
    Step(
        name="build_facts",
        arguments=("build", "facts"),
        title="Build the facts",
        purpose="input contract, cleaning with quarantine, facts by customer and day (dbt)",
    ),
    Step(
        name="repair_recent",
        arguments=("repair-recent",),
        title="Repair recent dates",
        purpose="the dates within late_horizon_days that late rows have made stale are computed again, ascending",
    ),
    Step(
        name="build_features",
        arguments=("build", "features"),
        title="Build the features",
        purpose="the four feature tables: the candidate for this date (dbt)",
    ),
    Step(
        name="gate_features",
        arguments=("gate", "features"),
        title="Gate the features",
        purpose="Great Expectations on the candidate features; a failure stops the run here",
    ),
    Step(
        name="forecast",
        arguments=("forecast",),
        title="Forecast the needs",
        purpose="what each customer will buy in the next 90 days, what each category will sell in the next 3 months",
    ),
    Step(
        name="gate_forecasts",
        arguments=("gate", "forecasts"),
        title="Gate the forecasts",
        purpose="Great Expectations on the candidate forecasts; a failure stops the run here",
    ),
    Step(
        name="segment",
        arguments=("segment",),
        title="Segment the customers",
        purpose="fit or reuse the models, score everyone, write candidate labels",
    ),
    Step(
        name="gate_labels",
        arguments=("gate", "labels"),
        title="Gate the labels",
        purpose="Great Expectations on the candidate labels; a failure stops the run here",
    ),
    Step(
        name="promote",
        arguments=("promote",),
        title="Promote the date",
        purpose="one transaction: the candidate replaces what was promoted for this date",
    ),
    Step(
        name="build_marts",
        arguments=("build", "marts"),
        title="Build the marts",
        purpose="what BI reads, from promoted dates only (dbt)",
    ),
    Step(
        name=PUBLISHING_STEP,
        arguments=("publish",),
        title="Publish the segments",
        purpose="one immutable file, verified, swapped in atomically",
    ),
    Step(
        name="report",
        arguments=("report",),
        title="Write the report",
        purpose="one page for people, drawn from the published file and put beside it",
    ),
)


_NAMES = tuple(step.name for step in STEPS)

PROMOTING_STEPS: Final = STEPS[_NAMES.index("build_features") : _NAMES.index("promote") + 1]
"""What computes and promotes a date on facts that are built: the part of a run that a repair within a run repeats."""

STEPS_AFTER_PUBLISHING: Final = STEPS[_NAMES.index(PUBLISHING_STEP) + 1 :]
"""What is for people to look at: where it fails, the night is served all the same."""

RETAIN: Final = Step(
    name="retain",
    arguments=("retain",),
    title="Let old data go",
    purpose="drops features, labels, forecasts, unused models and logs that have been kept long enough",
    is_of_a_date=False,
)
"""The one task of the DAG segmentation_retention."""


def step_named(name: str) -> Step:
    """Return the step with this task id; KeyError where there is none."""
    for step in (*STEPS, RETAIN):
        if step.name == name:
            return step
    raise KeyError(f"no step is named {name!r}; there are: {', '.join(step.name for step in (*STEPS, RETAIN))}")


def served_after(step: str) -> str:
    """Say what is served where a run stopped at a step: a sentence without its capital and its full stop."""
    if step in {each.name for each in STEPS_AFTER_PUBLISHING}:
        return f"the night is published and served, only its {step} is not new"
    return "what is served is unchanged"


@dataclass(frozen=True)
class RetrySettings:
    """How often and after how long a failed task is tried again.

    source_retries, source_delay: while data may still land (exit code 3 of a step that awaits its source).
    fault_retries, fault_delay: after an unexpected fault, a locked warehouse or a killed process.
    """

    source_retries: int = 3
    source_delay: timedelta = timedelta(minutes=10)
    fault_retries: int = 2
    fault_delay: timedelta = timedelta(minutes=2)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "RetrySettings":
        """Read SEGMENTATION_SOURCE_RETRIES, SEGMENTATION_SOURCE_RETRY_MINUTES and the same with FAULT.

        environment: usually `os.environ`; what is absent keeps its default. Raises ValueError that names
        the setting where a value is no number or negative.
        """
        default = cls()

        def number(name: str, fallback: float) -> float:
            text = environment.get(name, "").strip()
            if not text:
                return fallback
            try:
                value = float(text)
            except ValueError:
                value = -1.0
            if not 0 <= value < 100_000:
                raise ValueError(f"{name}={text!r}: give a number of 0 or more, or leave it unset")
            return value

        def minutes(name: str, fallback: timedelta) -> timedelta:
            return timedelta(minutes=number(name, fallback.total_seconds() / 60))

        return cls(
            source_retries=int(number("SEGMENTATION_SOURCE_RETRIES", default.source_retries)),
            source_delay=minutes("SEGMENTATION_SOURCE_RETRY_MINUTES", default.source_delay),
            fault_retries=int(number("SEGMENTATION_FAULT_RETRIES", default.fault_retries)),
            fault_delay=minutes("SEGMENTATION_FAULT_RETRY_MINUTES", default.fault_delay),
        )

    def retries(self, step: Step) -> int:
        """Return how many retries Airflow may grant this step at most, whatever failed."""
        return max(self.source_retries, self.fault_retries) if step.awaits_source else self.fault_retries

    def may_retry(self, step: Step, exit_code: int, attempt: int) -> bool:
        """Tell whether another attempt can help after this one.

        exit_code: of the command, negative where a signal ended it. attempt: the one that failed, from 1.
        """
        if exit_code == ExitCode.SOURCE_NOT_READY:
            return step.awaits_source and attempt <= self.source_retries
        if exit_code in (ExitCode.GATE_FAILED, ExitCode.MISCONFIGURED, ExitCode.USAGE):
            return False
        return attempt <= self.fault_retries
