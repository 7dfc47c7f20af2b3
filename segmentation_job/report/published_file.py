"""The published file as the report reads it: questions with a name, and their answers, remembered for the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb

from segmentation_job.errors import SegmentationError
from segmentation_job.report.figures import Figure, Value

# What every published file has: one that lacks a table is none of ours, or one of another version.
NEEDED_TABLES = frozenset(
    (
        "cart_abandonment", "category_demand_forecast", "category_preferences", "cohort_retention",
        "competitor_position", "credit_risk_bands", "customer_360", "customer_forecasts", "customer_segment_history",
        "customer_segments", "decisions", "demographic_distribution", "engagement_funnel", "financial_summary",
        "forecast_models", "loyalty_summary", "market_trends", "model_candidates", "model_sample", "models",
        "payment_habits", "product_pairs", "product_popularity", "recurring_orders", "row_accounts", "run_log",
        "satisfaction", "seasonal_trends", "segment_alarms", "segment_profiles", "segment_transitions",
        "segmentation_runs", "segments",
    )
)  # fmt: skip

Parameter = str | int | float | date | None


@dataclass(frozen=True)
class Row:
    """One row of an answer."""

    answer: Answer
    number: int

    def __getitem__(self, column: str) -> Value:
        return self.answer.rows[self.number][self.answer.columns.index(column)]

    def figure(self, column: str, form: str) -> Figure:
        """Return a cell as a figure of the given form."""
        return Figure(self[column], self.answer.query, self.number, column, form)

    def number_of(self, column: str) -> float:
        """Return a cell as a number, 0 for null: for drawing and choosing, never for showing."""
        value = self[column]
        return 0.0 if value is None else float(value)  # type: ignore[arg-type]

    def text(self, column: str) -> str:
        """Return a cell as a text, empty for null: for choosing and colouring."""
        value = self[column]
        return "" if value is None else str(value)


@dataclass(frozen=True)
class Answer:
    """The rows that a query gave, in its order."""

    query: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]

    def __bool__(self) -> bool:
        return bool(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return (Row(self, number) for number in range(len(self.rows)))

    def row(self, number: int) -> Row:
        """Return a row by its place, counted from 0; from the end where negative."""
        return Row(self, range(len(self.rows))[number])

    def first(self, **cells: Value) -> Row | None:
        """Return the first row whose cells have these values; None where there is none."""
        return next((row for row in self if all(row[column] == value for column, value in cells.items())), None)

    def has(self, column: str) -> bool:
        """Say whether a column holds anything but nulls."""
        place = self.columns.index(column)
        return any(row[place] is not None for row in self.rows)


@dataclass(frozen=True)
class Question:
    """A query as it was asked."""

    name: str
    sql: str
    parameters: Mapping[str, Parameter]


@dataclass
class PublishedFile:
    """One published file, open read-only for as long as the block lasts."""

    path: Path
    questions: dict[str, Question] = field(default_factory=dict)

    def __enter__(self) -> PublishedFile:
        if not self.path.exists():
            raise SegmentationError(f"{self.path} does not exist: nothing is published yet. Run `make run` first.")
        # A link may lead elsewhere while the report is being made; an open file stays the same one.
        self._connection = duckdb.connect(str(self.path.resolve()), read_only=True)
        tables = self._connection.execute(
            "select table_name from information_schema.tables where table_schema = 'main'"
        ).fetchall()
        lacking = sorted(NEEDED_TABLES - {name for (name,) in tables})
        if lacking:
            self._connection.close()
            raise SegmentationError(
                f"{self.path} lacks the tables {', '.join(lacking[:5])}: it is no published file, or one of another"
                " version. Publish again (`segmentation publish`), then make the report."
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.close()

    def ask(self, name: str, sql: str, **parameters: Parameter) -> Answer:
        """Return the rows of a query, which the page will list under its name.

        name: unique among the questions of a page. parameters: values that the query names as `$name`.
        """
        assert name not in self.questions, f"two questions are called {name}"
        sql = sql.strip()
        self.questions[name] = Question(name, sql, parameters)
        asked = self._connection.execute(sql, parameters or None)
        columns = tuple(str(column[0]) for column in asked.description)
        return Answer(name, columns, tuple(tuple(row) for row in asked.fetchall()))

    def unlisted(self, sql: str, **parameters: Parameter) -> list[tuple[Any, ...]]:
        """Return the rows of a query of which no figure is shown, only a place or a colour."""
        return self._connection.execute(sql, parameters or None).fetchall()
