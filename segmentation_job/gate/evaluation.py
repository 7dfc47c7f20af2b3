"""Runs the suites of a gate on a warehouse, read-only, and lets go of it."""

import json
import logging
import os
import re
import sys
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from importlib.util import LazyLoader, find_spec, module_from_spec
from pathlib import Path
from typing import Any

from segmentation_job.gate.batch_views import KEY_COLUMNS, BatchViews, plan_batch_views
from segmentation_job.gate.distribution_shift import has_distribution_shift, with_distribution_shift
from segmentation_job.gate.outcomes import ExpectationOutcome, OutcomeName, Subject
from segmentation_job.gate.row_counts import counting_statements
from segmentation_job.gate.stores import GateStore
from segmentation_job.gate.suites import Suite, SuiteExpectation, load_suites

_SHOWN_KEYS = 5
_OBSERVED_LENGTH = 500
_QUERY = "unexpected_rows_query"
# Great Expectations imports it for expectations about distributions, which no suite uses: a second for each gate.
_IMPORTED_AND_UNUSED = "scipy.stats"


def evaluate_gate(
    store: GateStore, expectations_dir: Path, subject: Subject, as_of: date, batch_dates: Sequence[date]
) -> list[ExpectationOutcome]:
    """Evaluate the suites of `subject` on each batch date; the warehouse is free for a writer at return.

    Parameters: `store`, the warehouse; `expectations_dir`, the folder of suites; `as_of`, the run's date, recorded
    with each outcome; `batch_dates`, the as-of dates of the candidate rows to judge.
    Returns one outcome per suite, batch date and expectation, in the order of dates, suites and files.
    Raises: SuiteError for a wrong suite; ValueError without batch dates; what the store raises where the warehouse
    cannot be read.
    """
    if not batch_dates:
        raise ValueError("evaluate_gate needs at least one batch date: a gate over nothing proves nothing")
    _prepare_great_expectations()
    suites = load_suites(expectations_dir, subject)
    outcomes: list[ExpectationOutcome] = []
    used = _names_in(suites)
    with store.connected() as address, _Session(store, address) as session:
        for batch_date in batch_dates:
            views = session.turn_to(batch_date, used)
            for suite in suites:
                outcomes += _evaluate_suite(session, suite, views, subject, as_of)
    return outcomes


def _names_in(suites: Sequence[Suite]) -> set[str]:
    """Every word of the suites' SQL, and their tables: the names of the views that they read are among them."""
    names = {suite.table for suite in suites}
    for suite in suites:
        for expectation in suite.expectations:
            query = with_distribution_shift(expectation.kwargs.get(_QUERY, ""), quintiles="")
            names.update(re.findall(r"\w+", query.lower()))
    return names


def _prepare_great_expectations() -> None:
    os.environ["GX_ANALYTICS_ENABLED"] = "False"  # read when the library is imported
    # Failing queries are logged with their traceback; the outcomes carry the same in one line.
    logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
    _import_when_used(_IMPORTED_AND_UNUSED)
    with _not_imported("pyspark"):
        import segmentation_job.gate.lean_expectations  # noqa: F401 - registers them


@contextmanager
def _not_imported(package: str) -> Iterator[None]:
    """Let imports find no package of this name, unless it is imported already.

    Great Expectations imports Spark wherever it is installed: a second for each gate, on an engine that is not Spark.
    """
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]


def _import_when_used(name: str) -> None:
    """Let an import of a module bring what is executed once an attribute of it is asked for."""
    if name in sys.modules:
        return
    specification = find_spec(name)
    if specification is None or specification.loader is None:
        return
    specification.loader = LazyLoader(specification.loader)
    module = module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    package, _, attribute = name.rpartition(".")
    if package:
        setattr(sys.modules[package], attribute, module)


class _Session:
    """Great Expectations on a warehouse, for one batch date after another; its engines are disposed at exit."""

    def __init__(self, store: GateStore, address: str) -> None:
        self._store = store
        self._address = address
        self._batches: dict[str, tuple[Any, Any]] = {}

    def __enter__(self) -> "_Session":
        import great_expectations

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            context = great_expectations.get_context(mode="ephemeral")
            context.variables.progress_bars = {"globally": False}
            self._source = context.data_sources.add_sql(name="warehouse", connection_string=self._address)
        return self

    def __exit__(self, *_: object) -> None:
        # The data source keeps one engine for itself and one for its execution engine; a pooled
        # connection of either would lock the file against the writer that comes next.
        self._source.get_engine().dispose()
        self._source.get_execution_engine().close()

    def turn_to(self, batch_date: date, used: Collection[str]) -> BatchViews:
        """Show the batch of a date, and of no other, under the names that suites use."""
        engines = (self._source.get_engine(), self._source.get_execution_engine().engine)
        connection = engines[0].raw_connection()
        try:
            views = plan_batch_views(self._store, connection.driver_connection, batch_date, used)
        finally:
            connection.close()
        for engine in engines:
            engine.dialect.show(views.statements)
        return views

    def validate(self, suite: Suite) -> list[Any]:
        from segmentation_job.gate.lean_expectations import expect_row_counts

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if suite.name not in self._batches:
                self._batches[suite.name] = self._define(suite)
            definition, expectations = self._batches[suite.name]
            expect_row_counts(self._source.get_execution_engine(), self._row_counts(suite))
            results = definition.get_batch().validate(
                expectations,
                result_format={
                    "result_format": "BASIC",
                    "partial_unexpected_count": _SHOWN_KEYS,
                    "unexpected_index_column_names": [KEY_COLUMNS[suite.name]],
                    "return_unexpected_index_query": True,
                },
            )
        return list(results.results)

    def _define(self, suite: Suite) -> tuple[Any, Any]:
        from great_expectations.core.expectation_suite import ExpectationSuite

        asset = self._source.add_table_asset(name=suite.name, table_name=suite.table)
        configurations = [expectation.configuration() for expectation in suite.expectations]
        for configuration in configurations:
            if _QUERY in configuration["kwargs"]:
                configuration["kwargs"][_QUERY] = self.spelled_out(configuration["kwargs"][_QUERY])
        return asset.add_batch_definition_whole_table("all"), ExpectationSuite(
            name=suite.name, expectations=configurations
        )

    def _row_counts(self, suite: Suite) -> dict[str, int]:
        """How many rows the suite's queries find, of those that can be counted together."""
        import sqlalchemy

        queries = [
            self.spelled_out(expectation.kwargs[_QUERY])
            for expectation in suite.expectations
            if _QUERY in expectation.kwargs
        ]
        counts: dict[str, int] = {}
        for counting in counting_statements(queries):
            try:
                text = sqlalchemy.text(counting.statement.format(batch=suite.table))
                row = self._source.get_execution_engine().execute_query(text).fetchone()
            except Exception:
                # One of them names what is not there: each is asked for alone, and says so itself.
                continue
            counts.update(zip(counting.queries, map(int, row), strict=True))
        return counts

    def spelled_out(self, query: str) -> str:
        """Return a suite's query as the engine reads it."""
        return with_distribution_shift(query, self._store.quintiles)

    def rows(self, query: str) -> list[dict[str, Any]]:
        import sqlalchemy

        result = self._source.get_execution_engine().execute_query(sqlalchemy.text(query))
        return [dict(row._mapping) for row in result.fetchall()]


def _evaluate_suite(
    session: _Session, suite: Suite, views: BatchViews, subject: Subject, as_of: date
) -> list[ExpectationOutcome]:
    def outcome(
        expectation: SuiteExpectation,
        name: OutcomeName,
        observed: str | None = None,
        unexpected_count: int | None = None,
        first_keys: list[str] | None = None,
    ) -> ExpectationOutcome:
        return ExpectationOutcome(
            as_of_date=as_of,
            subject=subject,
            suite=suite.name,
            batch_date=views.batch_date,
            expectation=expectation.type,
            column_name=expectation.column_name,
            severity=expectation.severity,
            outcome=name,
            unexpected_count=unexpected_count,
            observed=observed[:_OBSERVED_LENGTH] if observed else None,
            first_keys=json.dumps(first_keys) if first_keys else None,
            description=expectation.description,
        )

    if suite.table not in views.tables:
        missing = f"table candidate.{suite.table} does not exist"
        return [outcome(expectation, "error", missing) for expectation in suite.expectations]
    batch_rows = session.rows(f"select count(*) as found from {suite.table}")[0]["found"]
    results = {result.expectation_config.meta["position"]: result for result in session.validate(suite)}
    outcomes = []
    all_null: dict[str, bool] = {}
    for expectation in suite.expectations:
        result = results.get(expectation.position)
        if result is None:
            outcomes.append(outcome(expectation, "error", "Great Expectations returned no result"))
            continue
        cause = _exception_message(result.exception_info)
        if cause is not None:
            outcomes.append(outcome(expectation, "error", cause))
            continue
        reason = _nothing_to_judge(expectation, suite.table, views, batch_rows, result)
        if reason is None and has_distribution_shift(expectation.kwargs.get(_QUERY, "")):
            column = str(expectation.column_name)
            if column not in all_null:
                all_null[column] = _is_null_at_both_dates(session, suite.table, column)
            if all_null[column]:
                reason = "all values are null, now and at the previous promoted date"
        if reason is not None:
            outcomes.append(outcome(expectation, "not_applicable", reason))
        elif result.success:
            outcomes.append(outcome(expectation, "passed", _seen(result), _unexpected_count(result)))
        else:
            name: OutcomeName = "failed" if expectation.severity == "critical" else "warned"
            keys, observed = _offenders(session, expectation, suite, result)
            outcomes.append(outcome(expectation, name, observed, _unexpected_count(result), keys))
    return outcomes


def _nothing_to_judge(
    expectation: SuiteExpectation, table: str, views: BatchViews, batch_rows: int, result: Any
) -> str | None:
    """Say why a result means nothing although there is one; None where it means something."""
    if expectation.type == "expect_table_row_count_to_be_between":
        return None
    if batch_rows == 0:
        return "the batch holds no rows"
    if expectation.needs_previous:
        if table not in views.previous_dates:
            return "there is no earlier promoted date to compare with"
        known = views.previous_history_days(table)
        if known < expectation.minimum_history_days:
            return (
                f"the previous promoted date {views.previous_dates[table]} has {known} days of history,"
                f" {expectation.minimum_history_days} are needed"
            )
    details = result.result
    if details.get("element_count") and details.get("missing_count") == details["element_count"]:
        return "all values are null"
    return None


def _is_null_at_both_dates(session: _Session, table: str, column: str) -> bool:
    known = f"(select count({column}) from {table}) + (select count({column}) from previous_{table})"
    return bool(session.rows(f"select {known} as known")[0]["known"] == 0)


def _exception_message(exception_info: dict[str, Any] | None) -> str | None:
    """The first line of what an expectation raised: Great Expectations nests it by metric, or not at all."""
    if not exception_info:
        return None
    if "raised_exception" in exception_info:
        details = [exception_info]
    else:
        details = [value for value in exception_info.values() if isinstance(value, dict)]
    for detail in details:
        if detail.get("raised_exception"):
            message = str(detail.get("exception_message") or "an exception without message").strip()
            return message.splitlines()[0]
    return None


def _unexpected_count(result: Any) -> int | None:
    details = result.result
    if "unexpected_count" in details:
        return int(details["unexpected_count"])
    if result.expectation_config.type == "unexpected_rows_expectation":
        return int(details["observed_value"])
    return None


def _seen(result: Any) -> str | None:
    details = result.result
    if result.expectation_config.type == "unexpected_rows_expectation" or "observed_value" not in details:
        return None
    return str(details["observed_value"])


def _offenders(
    session: _Session, expectation: SuiteExpectation, suite: Suite, result: Any
) -> tuple[list[str] | None, str | None]:
    """The first keys that break an expectation and one offending row in words."""
    query = result.result.get("unexpected_index_query")
    if _QUERY in expectation.kwargs:
        query = session.spelled_out(expectation.kwargs[_QUERY]).format(batch=suite.table)
    if query is None:
        return None, _seen(result)
    query = query.rstrip("; \n")
    # Which of a customer's rows is shown depends on neither engine nor threads; queries select the key first.
    rows = session.rows(f"select * from ({query}) as offending order by all nulls last limit {_SHOWN_KEYS}")
    if not rows:
        return None, None
    key = KEY_COLUMNS[suite.name]
    if key not in rows[0]:
        return None, _in_words(rows[0])
    keys = [str(row[key]) for row in rows if row[key] is not None]
    return keys or None, _in_words(rows[0])


def _in_words(row: dict[str, Any]) -> str:
    return ", ".join(f"{column} = {'null' if value is None else value}" for column, value in row.items())
