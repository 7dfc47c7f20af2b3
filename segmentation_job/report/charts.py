"""The forms of charts: what is compared stands above its bar, and its figure at the bar's end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from segmentation_job.report.drawing import SMALL, TEXT, WIDTH, Canvas, shortened, width_of
from segmentation_job.report.figures import Figure
from segmentation_job.report.palette import INK, LINE, MUTED, QUIET, Colour

_GAP = 6.0


@dataclass(frozen=True)
class Bar:
    """One bar: its length, its figure, its colour."""

    length: float
    figure: Figure
    colour: Colour
    word: str = ""


@dataclass(frozen=True)
class Group:
    """What stands above one or several bars."""

    label: Figure
    bars: tuple[Bar, ...]


def bars(groups: Sequence[Group], key: str) -> Markup:
    """Draw groups of bars that lie, all to the same scale from 0; those below 0 go to the left of a middle line."""
    thickness, label_height, gap = 13.0, 17.0, 10.0
    tops, top = [], 2.0
    for group in groups:
        tops.append(top)
        top += label_height + len(group.bars) * (thickness + 3) + gap
    canvas = Canvas(top - gap + 4)
    every = [bar for group in groups for bar in group.bars]
    room = max(width_of(_said(bar), SMALL + 0.5) for bar in every) + _GAP + 2
    lowest, highest = min(0.0, *(bar.length for bar in every)), max(0.0, *(bar.length for bar in every))
    left = room if lowest < 0 else 0.0
    scale = (WIDTH - left - room) / ((highest - lowest) or 1.0)
    zero = left - lowest * scale
    for group, begin in zip(groups, tops, strict=True):
        canvas.text(0, begin + 8, group.label, shown=shortened(str(group.label), WIDTH))
        for place, bar in enumerate(group.bars):
            upper = begin + label_height + place * (thickness + 3)
            length = abs(bar.length) * scale
            canvas.box(zero - (length if bar.length < 0 else 0), upper, max(length, 1.0), thickness, bar.colour)
            end = zero + (length if bar.length >= 0 else -length)
            forward = bar.length >= 0
            x = end + (_GAP if forward else -_GAP)
            canvas.text(
                x, upper + thickness / 2 + 0.5, bar.figure, size=SMALL + 0.5, align="left" if forward else "right"
            )
            if bar.word and forward:
                canvas.text(
                    x + width_of(str(bar.figure), SMALL + 0.5) + 4,
                    upper + thickness / 2 + 0.5,
                    bar.word,
                    colour=MUTED,
                    size=SMALL + 0.5,
                )
    canvas.line([zero, zero], [2, top - gap], QUIET if lowest < 0 else LINE)
    return canvas.svg(key)


def _said(bar: Bar) -> str:
    return f"{bar.figure} {bar.word}" if bar.word else str(bar.figure)


__all__ = ["INK", "TEXT", "Bar", "Group", "bars"]
