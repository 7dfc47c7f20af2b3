from datetime import date, datetime
from decimal import Decimal

import pytest

from segmentation_job.report.figures import Figure, Value, sentence, written
from segmentation_job.report.words import feature_words


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (1234567, "count", "1,234,567"),
        (Decimal("-1234.50"), "amount", "−1,234"),
        (12, "change", "+12"),
        (0, "change", "0"),
        (-12, "change", "−12"),
        (0.2784, "share", "27.8%"),
        (0.999, "whole_share", "100%"),
        (-0.034, "share_change", "−3.4%"),
        # What rounds to nothing has no sign.
        (-0.0001, "share_change", "0.0%"),
        (8.46, "times", "8.5×"),
        (0.338, "three_digits", "0.338"),
        (59.94, "duration", "59.9 s"),
        (149.2, "duration", "2 min 29 s"),
        (date(2018, 1, 1), "month", "Jan 2018"),
        (datetime(2018, 1, 1, 2, 5), "clock", "1 January 2018 02:05 UTC"),  # noqa: DTZ001
        ("in_effect", "word", "in effect"),
        (None, "share", "–"),
        (True, "yes", "yes"),
        (False, "yes", ""),
    ],
)
def test_a_value_is_written_with_its_unit(value: Value, form: str, text: str) -> None:
    assert written(value, form) == text


def test_a_date_does_not_break_at_the_end_of_a_line() -> None:
    assert written(date(2018, 1, 1), "date") == "1\N{NO-BREAK SPACE}Jan\N{NO-BREAK SPACE}2018"


def test_a_figure_says_where_it_comes_from() -> None:
    figure = Figure(1234, "sizes", 3, "customers", "count")
    marked = '<data value="1234" data-query="sizes" data-cell="3 customers" data-form="count">1,234</data>'
    assert figure.__html__() == marked
    assert sentence("{figure} customers", figure=figure) == f"{marked} customers"


def test_markup_in_a_name_stays_text() -> None:
    figure = Figure("<b>'x' & \"y\"</b>", "sizes", 0, "name", "text")
    assert "<b>" not in figure.__html__()
    assert "<i>" not in sentence("{name}", name="<i>")


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("spend_amount_90d", "spend, last 90 days"),
        ("order_count_30d", "orders, last 30 days"),
        ("campaign_response_rate", "rate of campaign response"),
        ("recency_days", "days since the last order"),
        ("something_new", "something new"),
    ],
)
def test_a_feature_has_a_name_in_words(column: str, words: str) -> None:
    assert feature_words(column) == words
