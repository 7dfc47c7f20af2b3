import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from segmentation_job.report.charts import PANEL_COLUMNS, Bar, Cell, Group, Spark, bars, grid, sparks
from segmentation_job.report.drawing import Canvas, shortened, width_of, wrapped
from segmentation_job.report.figures import Figure, Value
from segmentation_job.report.palette import ACCENT, COLOURS, SEGMENT_COLOURS
from segmentation_job.report.sections.customer_map import projected, spread


def figure(value: Value, form: str = "count") -> Figure:
    return Figure(value, "sizes", 2, "customers", form)


def test_a_chart_takes_its_colours_and_fonts_from_the_page() -> None:
    canvas = Canvas(40)
    for place, colour in enumerate(COLOURS):
        canvas.box(place, 0, 10, 10, colour)
    canvas.text(0, 20, "word")
    svg = canvas.svg("chart")
    assert re.findall(r"#[0-9a-f]{6}", svg) == []
    assert {f"--{colour.name}" for colour in COLOURS} == set(re.findall(r"var\((--[\w-]+)\)", svg))
    assert "font-family" not in svg
    assert 'aria-labelledby="chart-title chart-finding"' in svg


def test_what_a_chart_shows_names_its_cell_and_stays_as_it_is_written() -> None:
    svg = bars(
        [Group(figure("<b>$x$</b>", "text"), (Bar(0.338, figure(0.33812, "three_digits"), ACCENT, "ours"),))], "c"
    )
    assert '<g data-query="sizes" data-cell="2 customers" data-form="three_digits">' in svg
    assert ">0.338 ours</text>" in svg
    assert "&lt;b&gt;$x$&lt;/b&gt;" in svg


def test_two_charts_on_a_page_share_no_id() -> None:
    lines = [Spark(figure("a", "text"), (1.0, None, 2.0), figure(1), figure(2), SEGMENT_COLOURS[0])]
    ids = [set(re.findall(r'id="([^"]+)"', sparks(lines, figure(1), figure(2), key))) for key in ("one", "two")]
    assert not ids[0] & ids[1]


def test_the_same_chart_is_the_same_text() -> None:
    lines = [Spark(figure("a", "text"), (1.0, 3.0, 2.0), figure(1), figure(2))]
    assert sparks(lines, figure(1), figure(2), "one") == sparks(lines, figure(1), figure(2), "one")


@pytest.mark.parametrize("values", [(0.0, 0.0), (-5.0, 3.0), (-1.0, -2.0), (1e9, 1.0)])
def test_bars_stay_on_the_canvas(values: Sequence[float]) -> None:
    svg = bars([Group(figure("name", "text"), (Bar(value, figure(value)),)) for value in values], "c")
    places = [float(x) for x in re.findall(r"[ML] (-?[\d.]+) ", svg)]
    assert min(places) >= -0.01
    assert max(places) <= 380.01


def test_many_columns_stand_in_panels_below_each_other() -> None:
    columns = [figure(f"segment {number}", "text") for number in range(25)]
    svg = grid([figure("row", "text")], columns, lambda *_: Cell(ACCENT, None), "c")
    heights = set(re.findall(r'y="([\d.]+)"[^>]*>row<', svg))
    assert len(heights) == -(-25 // PANEL_COLUMNS)
    assert svg.count("var(--accent)") == 25


def test_a_long_name_is_cut_and_a_short_one_is_not() -> None:
    assert shortened("short", 100) == "short"
    cut = shortened("a rather long name of a segment", 100)
    assert cut.endswith("…")
    assert width_of(cut) <= 100
    assert wrapped("a rather long name of a segment", 100, lines=2)[1].endswith("…")
    assert wrapped("", 100) == [""]


def test_labels_are_pushed_apart_and_stay_inside() -> None:
    places = spread([5.0, 6.0, 50.0, 99.0, 100.0], 10.0, 0.0, 100.0)
    assert all(later - earlier >= 10.0 - 1e-9 for earlier, later in pairwise(places))
    assert places[0] >= 0
    assert places[-1] <= 100
    assert places[2] == 50.0
    crowded = spread([1.0] * 30, 10.0, 0.0, 100.0)
    assert min(crowded) == pytest.approx(0)
    assert max(crowded) == pytest.approx(100)
    assert spread([], 10.0, 0.0, 100.0) == []


def test_the_map_does_not_flip_when_the_sample_is_mirrored() -> None:
    encoded = np.random.default_rng(7).normal(size=(200, 4)) * [5.0, 2.0, 1.0, 0.5]
    places, axes = projected(encoded)
    assert min(axes[0, 0], axes[1, 1]) > 0.9
    mirrored, mirrored_axes = projected(-encoded)
    np.testing.assert_allclose(mirrored_axes, axes)
    np.testing.assert_allclose(mirrored, -places)
    # The first axis holds most of the spread.
    assert places[:, 0].var() > places[:, 1].var() > encoded[:, 2].var()
