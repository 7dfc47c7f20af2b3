"""The types of Great Expectations that suites use most, without the work that it repeats on each of them.

Importing this module registers them under the names that the suites write. They judge as their originals do: what
differs is how often an expectation is written out as a configuration (seventy times in one validation), that custom
SQL counts its rows without fetching them all beforehand, and that the rows of many queries are counted together.
"""

from typing import Any, ClassVar

from great_expectations.compatibility import pydantic
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations import core
from great_expectations.expectations.expectation import Expectation
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.query_metrics.query_row_count import unexpected_rows_query_row_count


def expect_row_counts(execution_engine: Any, counts: dict[str, int]) -> None:
    """Let an execution engine answer with these counts by query instead of asking for each; others it asks for."""
    execution_engine.counted_rows = counts


class UnexpectedRowsCount(unexpected_rows_query_row_count.UnexpectedRowsQueryRowCount):  # type: ignore[misc]
    """How many rows custom SQL finds, which may have been counted already."""

    @metric_value(engine=SqlAlchemyExecutionEngine)  # type: ignore[untyped-decorator]
    def _sqlalchemy(cls, execution_engine: Any, *arguments: Any, **options: Any) -> int:  # noqa: N805
        query = (options.get("metric_value_kwargs") or arguments[1])[cls.query_param_name]
        counted: int | None = getattr(execution_engine, "counted_rows", {}).get(query)
        return super()._sqlalchemy(cls, execution_engine, *arguments, **options) if counted is None else counted


class _WrittenOnce(Expectation):  # type: ignore[misc]
    """An expectation that keeps its configuration until one of its fields is set."""

    _written: Any = pydantic.PrivateAttr(None)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name != "_written":
            self._written = None

    @property
    def configuration(self) -> Any:
        """The expectation as Great Expectations writes it; whoever changes it copies it first."""
        if self._written is None:
            self._written = super().configuration
        return self._written


class UnexpectedRowsExpectation(_WrittenOnce, core.UnexpectedRowsExpectation):  # type: ignore[misc]
    """Custom SQL that counts the rows it finds; the gate asks for the first of them itself."""

    metric_dependencies: ClassVar[tuple[str, ...]] = ("unexpected_rows_query.row_count",)

    def _validate(self, metrics: dict[str, Any], **options: Any) -> Any:
        return super()._validate(metrics={"unexpected_rows_query.table": [], **metrics}, **options)


class ExpectColumnValuesToNotBeNull(_WrittenOnce, core.ExpectColumnValuesToNotBeNull):  # type: ignore[misc]
    """As Great Expectations has it."""


class ExpectColumnValuesToBeBetween(_WrittenOnce, core.ExpectColumnValuesToBeBetween):  # type: ignore[misc]
    """As Great Expectations has it."""


class ExpectColumnPairValuesAToBeGreaterThanB(
    _WrittenOnce,
    core.ExpectColumnPairValuesAToBeGreaterThanB,  # type: ignore[misc]
):
    """As Great Expectations has it."""


class ExpectTableRowCountToBeBetween(_WrittenOnce, core.ExpectTableRowCountToBeBetween):  # type: ignore[misc]
    """As Great Expectations has it."""
