"""What a gate found: one outcome per expectation and batch, the verdict, and its text."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

Subject = Literal["features", "forecasts", "labels"]
Severity = Literal["critical", "warning"]
OutcomeName = Literal["passed", "failed", "warned", "error", "not_applicable"]

_LOUDNESS: dict[OutcomeName, int] = {"error": 0, "failed": 1, "warned": 2, "not_applicable": 3, "passed": 4}


@dataclass(frozen=True)
class ExpectationOutcome:
    """One expectation evaluated on one batch, with the columns of `pipeline.gate_results`.

    `unexpected_count` counts offending rows; `observed` shows what was seen, or why nothing could be;
    `first_keys` is a JSON list of at most five customer ids in ascending order.
    """

    as_of_date: date
    subject: Subject
    suite: str
    batch_date: date
    expectation: str
    column_name: str | None
    severity: Severity
    outcome: OutcomeName
    unexpected_count: int | None
    observed: str | None
    first_keys: str | None
    description: str


def gate_failed(outcomes: Sequence[ExpectationOutcome]) -> bool:
    """Tell whether the gate stops the run: a critical failure, an error, or nothing that passed.

    A list without a single passed expectation proves nothing about the data, so it fails too.
    """
    if any(outcome.outcome in ("failed", "error") for outcome in outcomes):
        return True
    return not any(outcome.outcome == "passed" for outcome in outcomes)


def describe_outcomes(outcomes: Sequence[ExpectationOutcome]) -> str:
    """Say what a gate found: the counts, then each failure, error and warning, then what was not compared.

    Errors that share suite, date and cause are one line, so that a missing table is read once.
    """
    if not outcomes:
        return "Gate: no expectation was evaluated."
    first = outcomes[0]
    counts = Counter(outcome.outcome for outcome in outcomes)
    batches = len({outcome.batch_date for outcome in outcomes})
    verdict = "FAILED" if gate_failed(outcomes) else "passed"
    lines = [
        f"Gate on {first.subject} as of {first.as_of_date} {verdict}: {len(outcomes)} expectations on "
        f"{batches} date{'s' if batches > 1 else ''}: {counts['passed']} passed, {counts['failed']} failed, "
        f"{counts['warned']} warned, {counts['error']} errors, {counts['not_applicable']} not applicable."
    ]
    ordered = sorted(outcomes, key=lambda outcome: _LOUDNESS[outcome.outcome])
    lines += _error_lines(outcome for outcome in ordered if outcome.outcome == "error")
    for outcome in ordered:
        if outcome.outcome in ("failed", "warned"):
            lines.append(_failure_line(outcome))
    unmet = Counter(
        (outcome.suite, outcome.batch_date, outcome.observed)
        for outcome in outcomes
        if outcome.outcome == "not_applicable"
    )
    for (suite, batch_date, reason), count in unmet.items():
        lines.append(f"not applicable  {suite} ({batch_date}): {count} × {reason}")
    return "\n".join(lines)


def _error_lines(errors: Iterable[ExpectationOutcome]) -> list[str]:
    grouped: dict[tuple[str, date, str | None], list[ExpectationOutcome]] = {}
    for outcome in errors:
        grouped.setdefault((outcome.suite, outcome.batch_date, outcome.observed), []).append(outcome)
    lines = []
    for (suite, batch_date, cause), members in grouped.items():
        named = f": {members[0].description}" if len(members) == 1 else f": {len(members)} expectations"
        lines.append(f"ERROR   {suite} ({batch_date}){named} could not be evaluated: {cause}")
    return lines


def _failure_line(outcome: ExpectationOutcome) -> str:
    word = "FAILED" if outcome.outcome == "failed" else "warned"
    column = f" {outcome.column_name}" if outcome.column_name else ""
    parts = [f"{word}  {outcome.suite} ({outcome.batch_date}){column}: {outcome.description}"]
    if outcome.unexpected_count is not None:
        parts.append(f"{outcome.unexpected_count} row{'s' if outcome.unexpected_count != 1 else ''}")
    if outcome.suite == "category_demand_forecast":
        if outcome.first_keys:
            parts.append("first categories: " + ", ".join(str(key) for key in json.loads(outcome.first_keys)))
    elif outcome.first_keys or "customer_id = " in (outcome.observed or ""):
        # A log outlives the warehouse's rows: who the customers are is kept where they can be forgotten.
        parts.append("which customers: first_keys and observed in pipeline.gate_results")
        return " · ".join(parts)
    if outcome.observed:
        parts.append(f"seen: {outcome.observed}")
    return " · ".join(parts)
