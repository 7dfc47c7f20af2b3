"""The two-dimensional map of customers: principal components of the encoded sample that the model was fitted on."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from segmentation_job.report.blocks import Chart, Column, table_of
from segmentation_job.report.drawing import SMALL, WIDTH, Canvas, shortened, width_of
from segmentation_job.report.figures import Figure, sentence
from segmentation_job.report.palette import segment_colour
from segmentation_job.report.view import View
from segmentation_job.report.words import feature_words

if TYPE_CHECKING:
    from numpy.typing import NDArray

# More dots than this are a cloud.
DRAWN = 4000
HEIGHT = 330.0
# Labels keep so much distance from each other.
_APART = 15.0

# Which customers are drawn is a function of their ids; the ids themselves go nowhere.
SAMPLE_SQL = """
select segment_id, encoded
from model_sample
where model_version = (select model_version from segmentation_runs where lens = $lens and as_of_date = $as_of limit 1)
order by md5(customer_id), customer_id
limit $drawn
"""

DRAWN_SQL = """
with drawn as (
    select segment_id
    from model_sample
    where
        model_version = (
            select model_version from segmentation_runs where lens = $lens and as_of_date = $as_of limit 1
        )
    order by md5(customer_id), customer_id
    limit $drawn
)

select
    drawn.segment_id,
    coalesce(any_value(segments.name), drawn.segment_id) as segment_name,
    count(*) as customers,
    count(*) / sum(count(*)) over () as share,
    sum(count(*)) over ()::bigint as all_drawn
from drawn
left join segments on drawn.segment_id = segments.segment_id and segments.lens = $lens
group by drawn.segment_id
order by customers desc, drawn.segment_id
"""

COLUMNS_SQL = """
select
    split_part(json_extract_string(feature, '$.column'), '.', 2) as feature,
    greatest(coalesce(json_array_length(feature, '$.columns'), 1), 1) as parts
from (
    select unnest(cast(json_extract(parameters, '$.encoding[*]') as json[])) as feature
    from models
    where
        model_version = (
            select model_version from segmentation_runs where lens = $lens and as_of_date = $as_of limit 1
        )
)
"""


def map_chart(view: View) -> Chart | None:
    """Return the map; None where no sample of two dimensions is published."""
    drawn = view.file.ask("map", DRAWN_SQL, lens=view.lens, as_of=view.as_of, drawn=DRAWN)
    rows = view.file.unlisted(SAMPLE_SQL, lens=view.lens, as_of=view.as_of, drawn=DRAWN)
    if len(rows) < 3 or len(rows[0][1]) < 2:
        return None
    key = "map"
    places, axes = projected(np.array([row[1] for row in rows], dtype=float))
    of_segment = np.array([str(row[0]) for row in rows])
    names = {row.text("segment_id"): row.figure("segment_name", "text") for row in drawn}
    return Chart(
        key,
        "How near are the segments to each other?",
        sentence(
            "Each dot is one of {drawn} customers of the model's sample; near dots shop alike. The largest group here:"
            " {name}. {directions}",
            drawn=drawn.row(0).figure("all_drawn", "count"),
            name=drawn.row(0).figure("segment_name", "text"),
            directions=_directions(view, axes),
        ),
        _drawn(places, of_segment, names, key),
        table_of(
            drawn,
            Column("Segment", "segment_name", segment="segment_id"),
            Column("Customers drawn", "customers", "count"),
            Column("Share of the dots", "share", "share"),
        ),
    )


def projected(encoded: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the customers on the first two principal components, and the components.

    encoded: customers × columns. Returns customers × 2 and 2 × columns. A component points to where its largest weight
    is positive, so that the map does not flip from night to night.
    """
    centred = encoded - encoded.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    axes = vectors[:, np.argsort(values)[::-1][:2]].T
    for axis in axes:
        if axis[np.argmax(np.abs(axis))] < 0:
            axis *= -1
    return centred @ axes.T, axes


def _directions(view: View, axes: NDArray[np.float64]) -> Markup:
    """Say what lies to the right and what above, by the features that weigh most; nothing where they cannot be told."""
    parts = [
        str(name)
        for name, number in view.file.unlisted(COLUMNS_SQL, lens=view.lens, as_of=view.as_of)
        for _ in range(number)
    ]
    if len(parts) != axes.shape[1]:
        return Markup("")
    said = []
    for axis, where in zip(axes, ("to the right", "upwards"), strict=True):
        place = int(np.argmax(np.abs(axis)))
        said.append(f"{where}: more of “{feature_words(parts[place])}”")
    return sentence("{right}; {up}.", right=said[0].capitalize(), up=said[1])


def _drawn(places: NDArray[np.float64], of_segment: NDArray[Any], names: dict[str, Figure], key: str) -> Markup:
    low, high = np.quantile(places, (0.005, 0.995), axis=0)
    span = np.where(high > low, high - low, 1.0)
    inside = np.clip((places - low) / span, 0, 1)
    xs = 6 + inside[:, 0] * (WIDTH - 12)
    ys = HEIGHT - 6 - inside[:, 1] * (HEIGHT - 12)
    layers = Markup("").join(
        Markup('<img class="{}" alt="" src="data:image/png;base64,{}">').format(
            f"only-{scheme}", _dots(xs, ys, of_segment, scheme)
        )
        for scheme in ("light", "dark")
    )
    return Markup('<div class="map">{}{}</div>').format(layers, _labels(xs, ys, of_segment, names, key))


def _dots(xs: NDArray[np.float64], ys: NDArray[np.float64], of_segment: NDArray[Any], scheme: str) -> str:
    """Return the dots as a PNG in the colours of a scheme: thousands of them are smaller so than as SVG."""
    canvas = Canvas(HEIGHT)
    colours = {name: segment_colour(name) for name in sorted(set(of_segment))}
    shades = [getattr(colours[name], scheme) for name in of_segment]
    canvas.ground.scatter(xs, ys, s=8, c=shades, alpha=0.65, linewidths=0)
    buffer = io.BytesIO()
    canvas.picture.savefig(buffer, format="png", dpi=144, transparent=True, metadata={"Software": None})
    return base64.b64encode(buffer.getvalue()).decode()


def _labels(
    xs: NDArray[np.float64], ys: NDArray[np.float64], of_segment: NDArray[Any], names: dict[str, Figure], key: str
) -> Markup:
    """Write each segment's name at its middle, pushed apart where they would meet."""
    canvas = Canvas(HEIGHT)
    wanted = []
    for name in sorted(set(of_segment)):
        mine = of_segment == name
        wanted.append((float(np.median(ys[mine])), float(np.median(xs[mine])), str(name)))
    wanted.sort()
    heights = spread([y for y, _, _ in wanted], _APART, 10.0, HEIGHT - 10.0)
    for height, (_, x, name) in zip(heights, wanted, strict=True):
        label = names[name]
        shown = shortened(str(label), 210.0, SMALL)
        half = width_of(shown, SMALL) / 2 + 10
        middle = min(max(x, half), WIDTH - half)
        canvas.label(middle - half + 2, height, label, shown, segment_colour(name))
    return canvas.svg(key)


def spread(wanted: list[float], apart: float, low: float, high: float) -> list[float]:
    """Return places in the same order, at least so far apart where there is room, near the wanted ones.

    wanted: ascending. low, high: the ends that none goes beyond.
    """
    if not wanted:
        return []
    apart = min(apart, (high - low) / max(len(wanted) - 1, 1))
    places = [max(low, wanted[0])]
    for place in wanted[1:]:
        places.append(max(place, places[-1] + apart))
    limit = high
    for number in range(len(places) - 1, -1, -1):
        places[number] = min(places[number], limit)
        limit = places[number] - apart
    return places
