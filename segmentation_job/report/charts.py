"""The forms of charts. What is compared stands above its bar or line, and its figure at the end: no axis to read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from markupsafe import Markup

from segmentation_job.report.drawing import SMALL, TEXT, WIDTH, Canvas, shortened, width_of, wrapped
from segmentation_job.report.figures import Figure
from segmentation_job.report.palette import ACCENT, INK, LINE, MUTED, QUIET, Colour

_GAP: Final = 6.0
_END: Final = SMALL + 0.5
_LINE_HEIGHT: Final = 15.0
# More columns than this stand below each other in several panels.
PANEL_COLUMNS: Final = 12


@dataclass(frozen=True)
class Bar:
    """One bar: its length, its figure, its colour; words that follow the figure; the ends of its interval."""

    length: float
    figure: Figure
    colour: Colour = ACCENT
    words: str = ""
    interval: tuple[float, float] | None = None

    @property
    def said(self) -> str:
        """What stands at its end."""
        return f"{self.figure} {self.words}".strip()


@dataclass(frozen=True)
class Group:
    """What stands above one or several bars."""

    label: Figure
    bars: tuple[Bar, ...]


def bars(groups: Sequence[Group], key: str) -> Markup:
    """Draw groups of bars that lie, all to the same scale from 0; those below 0 go to the left of a middle line."""
    thickness, gap = 13.0, 11.0
    labels = [wrapped(str(group.label), WIDTH) for group in groups]
    tops, top = [], 1.0
    for group, lines in zip(groups, labels, strict=True):
        tops.append(top)
        top += len(lines) * _LINE_HEIGHT + 3 + len(group.bars) * (thickness + 3) + gap
    canvas = Canvas(top - gap + 3)
    every = [bar for group in groups for bar in group.bars]
    ends = [end for bar in every for end in (bar.length, *(bar.interval or ()))]
    room = max(width_of(bar.said, _END) for bar in every) + _GAP + 2
    lowest, highest = min(0.0, *ends), max(0.0, *ends)
    left = room if lowest < 0 else 0.0
    scale = max(WIDTH - left - room, 40.0) / ((highest - lowest) or 1.0)
    zero = left - lowest * scale
    for group, lines, begin in zip(groups, labels, tops, strict=True):
        _write(canvas, group.label, lines, begin)
        for place, bar in enumerate(group.bars):
            upper = begin + len(lines) * _LINE_HEIGHT + 3 + place * (thickness + 3)
            middle = upper + thickness / 2
            length = bar.length * scale
            canvas.box(zero + min(length, 0), upper, max(abs(length), 1.0), thickness, bar.colour)
            end = zero + length
            if bar.interval:
                low, high = (zero + bound * scale for bound in bar.interval)
                canvas.line([low, high], [middle, middle], INK, 1.4)
                for bound in (low, high):
                    canvas.line([bound, bound], [middle - 3, middle + 3], INK, 1.4)
                end = max(end, high) if bar.length >= 0 else min(end, low)
            canvas.text(
                end + (_GAP if bar.length >= 0 else -_GAP),
                middle,
                bar.figure,
                shown=bar.said,
                size=_END,
                align="left" if bar.length >= 0 else "right",
            )
        if lowest < 0:
            first = begin + len(lines) * _LINE_HEIGHT + 1
            canvas.line([zero, zero], [first, first + len(group.bars) * (thickness + 3) + 1], QUIET)
    return canvas.svg(key)


@dataclass(frozen=True)
class Spark:
    """A line over time: what it is of, its values in the order of time (None where unknown), first and last figure.

    change: how the last differs from the first, beside the last.
    """

    label: Figure
    values: tuple[float | None, ...]
    first: Figure
    last: Figure
    colour: Colour = ACCENT
    change: Figure | None = None


def sparks(lines: Sequence[Spark], begin: Figure, end: Figure, key: str) -> Markup:
    """Draw lines over the same times below each other, each to a scale of its own, from one date to another."""
    height, gap = 34.0, 17.0
    labels = [wrapped(str(line.label), WIDTH) for line in lines]
    tops, top = [], 1.0
    for label in labels:
        tops.append(top)
        top += len(label) * _LINE_HEIGHT + 2 + height + gap
    canvas = Canvas(top + _LINE_HEIGHT)
    room_left = max(width_of(str(line.first), _END) for line in lines) + 8
    # The last figure is bold, hence wider.
    room_last = max(width_of(str(line.last), _END) for line in lines) * 1.1 + 10
    room_right = room_last + max((width_of(str(line.change), _END) + 6 for line in lines if line.change), default=0.0)
    for line, label, start in zip(lines, labels, tops, strict=True):
        _write(canvas, line.label, label, start)
        upper = start + len(label) * _LINE_HEIGHT + 9
        lower = upper + height - 6
        known = [value for value in line.values if value is not None]
        low, high = min(known), max(known)
        step = (WIDTH - room_left - room_right) / max(len(line.values) - 1, 1)
        rise = (lower - upper) / ((high - low) or 1.0)
        bottom = (upper + lower) / 2 if high == low else lower
        points = [
            (room_left + place * step, bottom - (value - low) * rise)
            for place, value in enumerate(line.values)
            if value is not None
        ]
        canvas.line([x for x, _ in points], [y for _, y in points], line.colour, 2.0)
        canvas.dot(*points[-1], line.colour)
        canvas.text(points[0][0] - 6, points[0][1], line.first, MUTED, _END, "right")
        canvas.text(points[-1][0] + 7, points[-1][1], line.last, INK, _END, strong=True)
        if line.change:
            canvas.text(WIDTH, points[-1][1], line.change, MUTED, _END, "right")
    canvas.line([room_left, WIDTH - room_right], [top - 4, top - 4], LINE)
    canvas.text(0, top + 6, begin, MUTED, SMALL)
    canvas.text(WIDTH, top + 6, end, MUTED, SMALL, "right")
    return canvas.svg(key)


@dataclass(frozen=True)
class Cell:
    """A cell of a grid: its colour, and its figure where there is one."""

    colour: Colour
    figure: Figure | None


@dataclass(frozen=True)
class Scale:
    """What the colours of a grid mean: the words at both ends, and the colours between."""

    low: str
    colours: Sequence[Colour]
    high: str


def grid(
    rows: Sequence[str | Figure],
    columns: Sequence[str | Figure],
    cell: Callable[[int, int], Cell | None],
    key: str,
    scale: Scale | None = None,
    says_figures: bool = True,
    makes_room: bool = False,
) -> Markup:
    """Draw a grid of coloured cells.

    rows, columns: what stands beside and above it. cell: what is in a row and a column, None where nothing is known.
    scale: what the colours mean, below the grid. says_figures: whether cells say their figure, if it fits.
    makes_room: whether the columns are set into as many panels as let the figures fit.
    """
    label_width = min(132.0, max(width_of(str(row), SMALL) for row in rows) + 10)
    found = {(row, number): cell(row, number) for row in range(len(rows)) for number in range(len(columns))}
    longest = max((width_of(str(one.figure), SMALL) for one in found.values() if one and one.figure), default=0.0)
    most = PANEL_COLUMNS
    if makes_room:
        most = min(most, max(1, int((WIDTH - label_width) / (longest + 2))))
    panels = _panels(len(columns), most)
    broadest = max(len(panel) for panel in panels)
    width = min((WIDTH - label_width) / broadest, 64.0)
    names = [wrapped(str(row), label_width - 8, 2, SMALL) for row in rows]
    row_height = 31.0 if any(len(name) > 1 for name in names) else 22.0
    widest = max(width_of(str(column), SMALL) for column in columns)
    is_turned = widest > width - 4
    heads = [min(widest, 170.0) + 8 if is_turned else 20.0 for _ in panels]
    height = sum(heads) + len(panels) * (len(rows) * row_height + 10) + (26.0 if scale else 0)
    canvas = Canvas(height)
    says_figures = says_figures and longest <= width - 2
    top = 0.0
    for panel, head in zip(panels, heads, strict=True):
        top += head
        for place, number in enumerate(panel):
            x = label_width + place * width + width / 2
            shown = shortened(str(columns[number]), 170.0 if is_turned else width, SMALL)
            if is_turned:
                canvas.text(x, top - 5, columns[number], MUTED, SMALL, "center", turned=True, shown=shown)
            else:
                canvas.text(x, top - 10, columns[number], MUTED, SMALL, "center", shown=shown)
        for row, lines in enumerate(names):
            upper = top + row * row_height
            begin = upper + row_height / 2 - (len(lines) - 1) * 6.5
            for line, text in enumerate(lines):
                canvas.text(0, begin + line * 13, rows[row], INK, SMALL, shown=text)
            for place, number in enumerate(panel):
                one = found[row, number]
                if one is None:
                    continue
                left = label_width + place * width
                canvas.box(left + 0.75, upper + 0.75, width - 1.5, row_height - 1.5, one.colour)
                if one.figure and says_figures:
                    canvas.text(left + width / 2, upper + row_height / 2, one.figure, INK, SMALL, "center")
        top += len(rows) * row_height + 10
    if scale:
        middle = top + 8
        canvas.text(0, middle, scale.low, MUTED, SMALL)
        x = width_of(scale.low, SMALL) + 6
        for colour in scale.colours:
            canvas.box(x, middle - 6, 14, 12, colour)
            x += 15
        canvas.text(x + 5, middle, scale.high, MUTED, SMALL)
    return canvas.svg(key)


def _panels(columns: int, most: int = PANEL_COLUMNS) -> list[range]:
    """Return the columns of each panel, at most so many and as evenly as they divide."""
    number = -(-columns // most)
    ends = [round(columns * place / number) for place in range(number + 1)]
    return [range(start, end) for start, end in pairwise(ends)]


def _write(canvas: Canvas, label: Figure, lines: Sequence[str], top: float) -> None:
    for place, text in enumerate(lines):
        canvas.text(0, top + 7 + place * _LINE_HEIGHT, label, shown=text, size=TEXT)
