"""What a section of the page is made of: sentences, charts with the table behind them, tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from segmentation_job.report.figures import TEXTS, Figure
from segmentation_job.report.palette import segment_colour
from segmentation_job.report.published_file import Answer, Row


@dataclass(frozen=True)
class Column:
    """A column of a table: what stands above it, which column of the answer it shows and how.

    segment: the column with the id of the segment whose colour stands beside the cell.
    """

    heading: str
    name: str
    form: str = "text"
    segment: str | None = None

    @property
    def is_text(self) -> bool:
        """Whether it is set to the left."""
        return self.form in TEXTS


@dataclass(frozen=True)
class Table:
    """Rows of an answer, the first column being what each row is about."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    caption: str = ""

    def cells(self, row: Row) -> list[tuple[Column, Figure, str | None]]:
        """Return the figures of a row, each with the colour of its segment where it has one."""
        return [
            (column, row.figure(column.name, column.form), swatch(row, column.segment) if column.segment else None)
            for column in self.columns
        ]


def table_of(rows: Answer | Iterable[Row], *columns: Column, caption: str = "") -> Table:
    """Return a table of an answer or of some of its rows."""
    return Table(columns, tuple(rows), caption)


def swatch(row: Row, column: str) -> str:
    """Return the CSS variable of a row's segment."""
    return segment_colour(row.text(column)).name


@dataclass(frozen=True)
class Chart:
    """A chart: the question that it answers, what it shows in a sentence, the picture, and the table behind it."""

    key: str
    question: str
    finding: Markup
    picture: Markup
    table: Table
    note: Markup | None = None
    is_wide: bool = False

    kind: str = field(default="chart", init=False)


@dataclass(frozen=True)
class Listing:
    """A table of its own."""

    key: str
    question: str | Markup
    finding: Markup
    table: Table
    kind: str = field(default="listing", init=False)


@dataclass(frozen=True)
class Section:
    """A part of the page.

    absent: what is said where the source has nothing for it.
    """

    key: str
    title: str
    blocks: tuple[Chart | Listing, ...] = ()
    sentences: tuple[Markup, ...] = ()
    absent: tuple[Markup, ...] = ()


def present(blocks: Sequence[Chart | Listing | None]) -> tuple[Chart | Listing, ...]:
    """Return the blocks that there is something to show in."""
    return tuple(block for block in blocks if block is not None)
