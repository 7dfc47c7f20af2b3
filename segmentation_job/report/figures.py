"""A figure of the report: a value that a query gave, where it stands in the answer, and how it is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from markupsafe import Markup, escape

from segmentation_job.report.words import feature_words

Value = str | int | float | bool | Decimal | date | datetime | None

UNKNOWN: Final = "–"
MINUS: Final = "−"


@dataclass(frozen=True)
class Figure:
    """What one cell of an answer says.

    value: as the query gave it. query, row, column: which cell of which answer it is, rows counted from 0. form: how it
    is written, a key of FORMS.
    """

    value: Value
    query: str
    row: int
    column: str
    form: str

    def __str__(self) -> str:
        return written(self.value, self.form)

    def __html__(self) -> str:
        """Return it marked up with where it comes from, so that a page can be held against its queries."""
        where = (
            f'data-query="{escape(self.query)}" data-cell="{self.row} {escape(self.column)}" data-form="{self.form}"'
        )
        said = escape(str(self))
        if self.form in TEXTS or self.value is None:
            return Markup(f"<span {where}>{said}</span>")
        if isinstance(self.value, date):
            return Markup(f'<time datetime="{self.value.isoformat()}" {where}>{said}</time>')
        return Markup(f'<data value="{escape(str(self.value))}" {where}>{said}</data>')


def sentence(text: str, **parts: object) -> Markup:
    """Return a sentence of ours with figures put in: what comes from a file is escaped, what is ours stays."""
    return Markup(text).format(
        **{name: part if hasattr(part, "__html__") else escape(part) for name, part in parts.items()}
    )


def written(value: Value, form: str) -> str:
    """Return a value as it is shown; KeyError for a form that does not exist."""
    return UNKNOWN if value is None else FORMS[form](value)


def _number(value: Value) -> float:
    assert value is not None
    assert not isinstance(value, str | date)
    return float(value)


def _grouped(value: Value, digits: int = 0, signed: bool = False) -> str:
    number = round(_number(value), digits)
    text = f"{abs(number):,.{digits}f}"
    if number < 0:
        return f"{MINUS}{text}"
    return f"+{text}" if signed and number > 0 else text


def _as_date(value: Value) -> date:
    assert isinstance(value, date)
    return value


def _day(value: Value) -> str:
    day = _as_date(value)
    return f"{day.day}\N{NO-BREAK SPACE}{day:%b}\N{NO-BREAK SPACE}{day:%Y}"


def _clock(value: Value) -> str:
    assert isinstance(value, datetime)
    return f"{value.day} {value:%B %Y %H:%M} UTC"


def _duration(value: Value) -> str:
    seconds = _number(value)
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"


def _pretty(value: Value) -> str:
    """A word of the tables in plain letters: in_effect is said "in effect"."""
    return str(value).replace("_", " ")


FORMS: Final[dict[str, Callable[[Value], str]]] = {
    "text": str,
    "word": _pretty,
    "feature": lambda value: feature_words(str(value)),
    "yes": lambda value: "yes" if value else "",
    "count": _grouped,
    "change": lambda value: _grouped(value, signed=True),
    "amount": _grouped,
    "share": lambda value: f"{_grouped(_number(value) * 100, 1)}%",
    "whole_share": lambda value: f"{_grouped(_number(value) * 100)}%",
    "share_change": lambda value: f"{_grouped(_number(value) * 100, 1, signed=True)}%",
    "points": lambda value: f"{_grouped(_number(value) * 100, 1, signed=True)} points",
    "times": lambda value: f"{_grouped(value, 1)}×",
    "one_digit": lambda value: _grouped(value, 1),
    "signed_digit": lambda value: _grouped(value, 1, signed=True),
    "two_digits": lambda value: _grouped(value, 2),
    "three_digits": lambda value: _grouped(value, 3),
    "days": lambda value: f"{_grouped(value)} days",
    "date": _day,
    "month": lambda value: f"{_as_date(value):%b %Y}",
    "clock": _clock,
    "duration": _duration,
}
TEXTS: Final = frozenset({"text", "word", "feature", "yes"})
