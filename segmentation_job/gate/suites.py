"""Native Great Expectations suites read from JSON, and everything that could make one pass unseen."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from segmentation_job.errors import MisconfiguredError
from segmentation_job.gate.batch_views import SUITE_TABLES
from segmentation_job.gate.distribution_shift import has_distribution_shift, misspelled_distribution_shift
from segmentation_job.gate.outcomes import Severity, Subject

SUITES_BY_SUBJECT: dict[Subject, tuple[str, ...]] = {
    "features": (
        "demographic_features",
        "financial_features",
        "purchase_features",
        "engagement_features",
    ),
    "forecasts": ("customer_forecasts", "category_demand_forecast"),
    "labels": ("customer_segments",),
}

_SUITE_KEYS = {"name", "meta", "expectations"}
_EXPECTATION_KEYS = {"type", "kwargs", "severity", "description", "meta"}
_META_KEYS = {"column", "minimum_history_days"}
_PREVIOUS = re.compile(r"\bprevious_(?:\w+_features|\w+_forecasts?|labels)\b|\bdistribution_shift\s*\(", re.IGNORECASE)


class SuiteError(MisconfiguredError):
    """A suite is wrong: the message names the file, the position and the remedy."""


@dataclass(frozen=True)
class SuiteExpectation:
    """One expectation as written, with what the evaluation needs to know about it.

    `minimum_history_days`: days of order history that the previous promoted date must have for the
    comparison to mean anything (a 90-day window compared with a date that had seen 20 days shifts by itself).
    """

    position: int
    type: str
    kwargs: dict[str, Any]
    severity: Severity
    description: str
    column_name: str | None
    needs_previous: bool
    minimum_history_days: int

    def configuration(self) -> dict[str, Any]:
        """The dictionary that Great Expectations builds the expectation from, marked with its position."""
        return {
            "type": self.type,
            "kwargs": dict(self.kwargs),
            "severity": self.severity,
            "description": self.description,
            "meta": {"position": self.position},
        }


@dataclass(frozen=True)
class Suite:
    """A suite file: its name, the candidate table it judges, its expectations in order."""

    name: str
    table: str
    expectations: tuple[SuiteExpectation, ...]


def load_suites(expectations_dir: Path, subject: Subject | None = None) -> tuple[Suite, ...]:
    """Read and check every suite in `expectations_dir`; return those of `subject` (all where None).

    All files are checked whatever the subject, so that a typo in a label suite shows before labels are made.

    Raises: SuiteError naming file and position for a missing, unknown or unreadable file, an empty suite,
    an unknown key, type or severity, arguments that Great Expectations refuses, a repeated expectation or
    description, SQL that does not read its own batch, or a suite that an empty table would pass.
    """
    known = {name for names in SUITES_BY_SUBJECT.values() for name in names}
    found = {path.stem: path for path in sorted(expectations_dir.glob("*.json"))}
    if unknown := sorted(set(found) - known):
        raise SuiteError(
            f"{found[unknown[0]]}: no table has a suite of this name; known are {', '.join(sorted(known))}"
        )
    if missing := sorted(known - set(found)):
        raise SuiteError(f"{expectations_dir / (missing[0] + '.json')}: the suite file is missing")
    suites = {name: _read_suite(path) for name, path in found.items()}
    subjects = [subject] if subject else list(SUITES_BY_SUBJECT)
    return tuple(suites[name] for chosen in subjects for name in SUITES_BY_SUBJECT[chosen])


def _read_suite(path: Path) -> Suite:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SuiteError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("expectations"), list):
        raise SuiteError(f'{path}: must be an object with "name" and a list "expectations"')
    if unknown := sorted(set(document) - _SUITE_KEYS):
        raise SuiteError(f"{path}: unknown key {unknown[0]!r}; allowed are {', '.join(sorted(_SUITE_KEYS))}")
    if document.get("name") != path.stem:
        raise SuiteError(f"{path}: name is {document.get('name')!r}, but the file is called {path.stem!r}")
    if not document["expectations"]:
        raise SuiteError(f"{path}: the suite is empty, and an empty suite passes everything")
    expectations = tuple(
        _read_expectation(path, position, written) for position, written in enumerate(document["expectations"], start=1)
    )
    suite = Suite(path.stem, SUITE_TABLES[path.stem], expectations)
    _require_distinct(path, suite)
    _require_rows(path, suite)
    _require_accepted_by_great_expectations(path, suite)
    return suite


def _read_expectation(path: Path, position: int, written: Any) -> SuiteExpectation:
    where = f"{path}, expectation {position}"
    if not isinstance(written, dict):
        raise SuiteError(f"{where}: must be an object")
    if unknown := sorted(set(written) - _EXPECTATION_KEYS):
        raise SuiteError(f"{where}: unknown key {unknown[0]!r}; allowed: {', '.join(sorted(_EXPECTATION_KEYS))}")
    if written.get("severity") not in ("critical", "warning"):
        raise SuiteError(f"{where}: severity is {written.get('severity')!r}; write critical or warning")
    description = written.get("description")
    if not isinstance(description, str) or not description.strip():
        raise SuiteError(f"{where}: needs a description that says in words what must hold")
    if not isinstance(written.get("type"), str) or not isinstance(written.get("kwargs"), dict):
        raise SuiteError(f'{where}: needs a "type" and an object "kwargs"')
    meta = written.get("meta", {})
    if not isinstance(meta, dict) or set(meta) - _META_KEYS:
        raise SuiteError(f"{where}: meta may hold {' and '.join(sorted(_META_KEYS))} only")
    kwargs = written["kwargs"]
    query = kwargs.get("unexpected_rows_query", "")
    if "unexpected_rows_query" in kwargs and "{batch}" not in query:
        raise SuiteError(f"{where}: the query never reads {{batch}}, so it judges something else")
    history = meta.get("minimum_history_days", 0)
    if not isinstance(history, int) or isinstance(history, bool) or history < 0:
        raise SuiteError(f"{where}: minimum_history_days must be a number of days")
    needs_previous = bool(_PREVIOUS.search(query))
    if misspelled_distribution_shift(query):
        raise SuiteError(f"{where}: write distribution_shift('<table>', '<column>') with two names in single quotes")
    if has_distribution_shift(query) and not meta.get("column"):
        raise SuiteError(f"{where}: a distribution_shift needs its column in meta as well")
    if history and not needs_previous:
        raise SuiteError(f"{where}: minimum_history_days means nothing without a previous_ table")
    return SuiteExpectation(
        position=position,
        type=written["type"],
        kwargs=kwargs,
        severity=cast(Severity, written["severity"]),
        description=description,
        column_name=meta.get("column") or kwargs.get("column") or kwargs.get("column_A"),
        needs_previous=needs_previous,
        minimum_history_days=history,
    )


def _require_distinct(path: Path, suite: Suite) -> None:
    seen: dict[str, int] = {}
    for expectation in suite.expectations:
        # A suite is a set to Great Expectations: of two equal expectations one would vanish.
        content = json.dumps([expectation.type, expectation.kwargs], sort_keys=True)
        for identity in (content, expectation.description):
            if identity in seen:
                raise SuiteError(f"{path}, expectation {expectation.position}: repeats expectation {seen[identity]}")
            seen[identity] = expectation.position


def _require_rows(path: Path, suite: Suite) -> None:
    for expectation in suite.expectations:
        minimum = expectation.kwargs.get("min_value")
        if (
            expectation.type == "expect_table_row_count_to_be_between"
            and expectation.severity == "critical"
            and isinstance(minimum, int)
            and minimum >= 1
        ):
            return
    raise SuiteError(
        f"{path}: an empty table would pass; add a critical expect_table_row_count_to_be_between"
        " with min_value of at least 1"
    )


def _require_accepted_by_great_expectations(path: Path, suite: Suite) -> None:
    from great_expectations.core.expectation_suite import ExpectationSuite
    from great_expectations.expectations.registry import list_registered_expectation_implementations

    registered = set(list_registered_expectation_implementations())
    for expectation in suite.expectations:
        where = f"{path}, expectation {expectation.position}"
        if expectation.type not in registered:
            raise SuiteError(f"{where}: Great Expectations knows no type {expectation.type!r}")
        try:
            alone = ExpectationSuite(name=suite.name, expectations=[expectation.configuration()])
        except Exception as error:
            raise SuiteError(f"{where}: Great Expectations refuses it: {error}") from error
        if len(alone.expectations) != 1:
            raise SuiteError(f"{where}: Great Expectations dropped it; check its kwargs")
