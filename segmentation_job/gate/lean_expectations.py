"""The types of Great Expectations that suites use most, without the work that it repeats on each of them.

Importing this module registers them under the names that the suites write. They judge as their originals do: what
differs is how often an expectation is written out as a configuration (seventy times in one validation), and that
custom SQL counts its rows without fetching them all beforehand.
"""

from typing import Any, ClassVar

from great_expectations.compatibility import pydantic
from great_expectations.expectations import core
from great_expectations.expectations.expectation import Expectation


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
