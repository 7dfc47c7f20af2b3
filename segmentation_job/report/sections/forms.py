"""Charts that several subjects share: a figure by segment or by another thing, shares in a grid."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from markupsafe import Markup

from segmentation_job.report.blocks import Chart, Column, Table
from segmentation_job.report.charts import Bar, Cell, Group, Scale, bars, grid
from segmentation_job.report.figures import Figure, sentence
from segmentation_job.report.palette import ACCENT, RISING, Colour, rising_colour, segment_colour
from segmentation_job.report.published_file import Answer, Row

DRAWN_BARS = 25
FROM_NOTHING = Scale("none", RISING, "the highest share")


def bars_of(
    key: str,
    question: str,
    rows: Answer | Sequence[Row],
    value: tuple[str, str],
    table: Table,
    label: tuple[str, str] = ("segment_name", "text"),
    words: str = "",
    finding: Markup | None = None,
    is_of_segments: bool = True,
    interval: tuple[str, str] | None = None,
    note: Markup | None = None,
) -> Chart | None:
    """Return a bar per row in the order of the rows; None where no row has the value.

    value, label: column and form of the bar and of what stands above it. words: what follows the figure. finding: the
    sentence; else the highest and the lowest are named. interval: columns with the ends of the bar's whisker. note:
    what stands below.
    """
    known = [row for row in rows if row[value[0]] is not None]
    if not known:
        return None
    groups = [
        Group(
            row.figure(*label),
            (
                Bar(
                    row.number_of(value[0]),
                    row.figure(*value),
                    colour_of(row) if is_of_segments else ACCENT,
                    words,
                    (row.number_of(interval[0]), row.number_of(interval[1])) if interval else None,
                ),
            ),
        )
        for row in known[:DRAWN_BARS]
    ]
    said = finding or extremes(known, value, label, words, is_of_segments or len(known) <= 6)
    return Chart(key, question, said, bars(groups, key), table, note)


def colour_of(row: Row) -> Colour:
    """Return the colour of a row's segment."""
    return segment_colour(row.text("segment_id"))


def extremes(
    rows: Sequence[Row],
    value: tuple[str, str],
    label: tuple[str, str],
    words: str = "",
    names_lowest: bool = True,
) -> Markup:
    """Name the highest and the lowest; of a list that is cut off the lowest tells nothing."""
    highest = max(rows, key=lambda row: row.number_of(value[0]))
    lowest = min(rows, key=lambda row: row.number_of(value[0]))
    said = sentence(
        "Highest: {name}, {figure} {words}", name=highest.figure(*label), figure=highest.figure(*value), words=words
    ).strip()
    if names_lowest and lowest.number != highest.number:
        said += sentence("; lowest: {name}, {figure}", name=lowest.figure(*label), figure=lowest.figure(*value))
    return Markup(said) + "."


def shares_in_a_grid(
    key: str,
    question: str,
    found: Answer,
    row_keys: Sequence[object],
    row_column: str,
    row_label: tuple[str, str],
    column_column: str,
    column_form: str,
    value: tuple[str, str],
    table: Table,
    finding: Markup,
    colour: Callable[[float], Colour] | None = None,
    scale: Scale = FROM_NOTHING,
    says_figures: bool = True,
    makes_room: bool = False,
) -> Chart | None:
    """Return a grid of one answer's rows: what stands in row_column down, what stands in column_column across.

    row_keys: the rows in the order in which they are drawn; those without a value are left out. colour: of a value; by
    default from nothing to the highest. makes_room: whether columns go into further panels until the figures fit.
    """
    cells: dict[tuple[object, object], Row] = {}
    columns: dict[object, Figure] = {}
    labels: dict[object, Figure] = {}
    for row in found:
        if row[value[0]] is None:
            continue
        cells[row[row_column], row[column_column]] = row
        labels.setdefault(row[row_column], row.figure(*row_label))
    for row in found:
        if any((one, row[column_column]) in cells for one in row_keys):
            columns.setdefault(row[column_column], row.figure(column_column, column_form))
    rows = [one for one in row_keys if one in labels]
    if not rows or not columns:
        return None
    places = list(columns)
    highest = max(row.number_of(value[0]) for row in cells.values())

    def cell(down: int, across: int) -> Cell | None:
        at = cells.get((rows[down], places[across]))
        if at is None:
            return None
        number = at.number_of(value[0])
        return Cell(colour(number) if colour else rising_colour(number, highest), at.figure(*value))

    drawn = grid(
        [labels[row] for row in rows],
        list(columns.values()),
        cell,
        key,
        scale=scale,
        says_figures=says_figures,
        makes_room=makes_room,
    )
    return Chart(key, question, finding, drawn, table)


def by_segment(*columns: Column) -> tuple[Column, ...]:
    """Return the columns of a table of segments."""
    return (Column("Segment", "segment_name", segment="segment_id"), *columns)


def distinct(rows: Iterable[Row], column: str) -> list[object]:
    """Return the values of a column in the order in which they come first."""
    return list(dict.fromkeys(row[column] for row in rows))
