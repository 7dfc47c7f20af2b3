"""What to watch between refits: a segment that emerges, one that empties, a feature that drifts.

Each is seen by comparing customers of two dates under one model, so that nothing here depends on what ran in between.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segmentation_job.segments.algorithms import IntArray, nearest, one_thread
from segmentation_job.segments.encoding import (
    ABOVE_ZERO,
    CATEGORY,
    MISSING,
    ZERO,
    EncodedColumn,
    FeatureValues,
    FloatArray,
    RawValues,
    encode,
    feature_values,
)
from segmentation_job.segments.lenses import Lens, LensFeature
from segmentation_job.segments.model import Model

EMERGING = "emerging"
RETIRING = "retiring"
DRIFTING = "drifting"

# Nights back to what today is compared with: the shorter sees what is sudden, the longer what is slow.
NIGHTS_BACK = (28, 56)
MICRO_CELLS = 40
# Cells are a grid to count in, not a result: they need not have converged.
_ITERATIONS = 30
# Seasons alone made cells grow twice in 2 of 21 simulated shops; a segment that lies apart fills cells all but empty.
HOT_GROWTH = 2.5
HOT_SIGNIFICANCE = 4.0
HOT_GAIN = 0.005
# The pseudo-count that keeps the growth of a nearly empty cell finite: 5 for 8,000 customers.
PSEUDO_COUNT_SHARE = 5 / 8_000
_SEED = 20_180_101

RETIRED_SHARE = 0.3
# Of fewer customers a share says nothing.
FEWEST_WITHIN_RADIUS = 10

MODERATE_DRIFT = 0.1
LARGE_DRIFT = 0.25
DRIFT_BINS = 10
MOST_CATEGORIES = 20
# A shift that chance would give less often than this is no chance.
CHANCE = 0.001

CONTRAST_DIFFERENCE = 0.5
MOST_CONTRASTS = 3
DECIMALS = 6

# Stands for the segment's name in an alarm's evidence, for it may be renamed after.
SEGMENT_PLACE = "{segment}"


@dataclass(frozen=True)
class Alarm:
    """What a check found and what it proposes; it changes nothing by itself.

    kind: EMERGING, RETIRING or DRIFTING · segment_key: the segment it is about (of one that emerges, where most of it
    stands), None of a feature · feature: "table.column", None of a segment · evidence, proposal: sentences for people,
    with SEGMENT_PLACE for the segment's name ·
    figures: what the evidence rests on, as JSON takes it.
    """

    kind: str
    segment_key: str | None
    feature: str | None
    evidence: str
    proposal: str
    figures: Mapping[str, object]


@dataclass(frozen=True)
class Sample:
    """Customers of one date as a model sees them. encoded: (n, d) · clusters: (n,) the nearest."""

    encoded: FloatArray
    clusters: IntArray

    def __len__(self) -> int:
        return len(self.encoded)


@dataclass(frozen=True)
class HotCell:
    """A small region of customers that grew out of proportion.

    customers_now, customers_then: those of then as if there had been as many customers as now · growth: relative to
    that of its segment, where that grew · significance: in standard deviations of a count · cluster: the segment it
    stands in.
    """

    customers_now: int
    customers_then: float
    growth: float
    significance: float
    cluster: int


@dataclass(frozen=True)
class Emergence:
    """What grew between two dates.

    nights: between them · customers: n of now · cells: the hot ones, the one that gained most first · members: (n,)
    who of now stands in one.
    """

    nights: int
    customers: int
    cells: tuple[HotCell, ...]
    members: NDArray[np.bool_]

    @property
    def gained(self) -> float:
        """The customers that the hot cells gained."""
        return sum(cell.customers_now - cell.customers_then for cell in self.cells)

    @property
    def gained_share(self) -> float:
        """The same as a share of all customers, 0 to 1."""
        return self.gained / self.customers

    @property
    def is_hot(self) -> bool:
        """Whether it is enough for an alarm, if it was a week ago too."""
        return self.gained_share > HOT_GAIN


@dataclass(frozen=True)
class Contrast:
    """In what some customers differ from others.

    column: of the encoding; feature: its "table.column" · theirs, others: medians of the raw feature, or the shares of
    the customers (0 to 1) of whom the column is true · difference: of the encoded means, in standard deviations of
    those the model was fitted on.
    """

    feature: str
    column: EncodedColumn
    theirs: float
    others: float
    difference: float


def sample_of(model: Model, values: RawValues) -> Sample:
    """The customers as the model sees them. values: (n, d) raw, in the model's feature order, NaN where missing."""
    return Sample(encode(values, model.encoding), nearest(model.cost(values)))


def emergence(now: Sample, then: Sample, k: int, nights: int) -> Emergence:
    """The regions of now's customers that grew since then more than their segment did.

    now, then: the customers of two dates under one model · k: its clusters · nights: between the dates.

    Both dates' customers are cut into 40 cells by k-means. With a customers now and b then, scaled to as many
    customers, and k = 5n/8000, a cell is hot where (a+k)/(b+k), divided by its segment's own growth where that is
    above 1, exceeds 2 and (a−b)/sqrt(a+b+1) exceeds 4. Then's customers are moved along with the season first, by
    the difference of interquartile means (of medians, a count that goes from 2 to 3 would tear the dates apart): once
    within segments and once of all customers, and the smaller growth counts. Within segments alone, a season that few
    follow looks like growth; of all alone, a share that changes moves customers who stood still. The same bits for the
    same rows. Without customers on either date there is no growth.
    """
    if not len(now) or not len(then):
        return Emergence(nights, len(now), (), np.zeros(len(now), dtype=bool))
    found = _emergence(now, then, _shift_within_segments(now, then, k), k, nights)
    if not found.cells:
        return found
    shift = _interquartile_mean(now.encoded) - _interquartile_mean(then.encoded)
    return min(found, _emergence(now, then, shift, k, nights), key=lambda one: one.gained_share)


def strongest_emergence(now: Sample, earlier: Mapping[int, Sample], k: int) -> Emergence:
    """What grew most, compared with each of the earlier dates. earlier: by nights back, at least one."""
    found = [emergence(now, then, k, nights) for nights, then in sorted(earlier.items())]
    return max(found, key=lambda one: one.gained_share)


def emerging_alarm(
    today: Emergence,
    last_week: Emergence,
    model: Model,
    lens: Lens,
    values: RawValues,
    now: Sample,
) -> Alarm | None:
    """The alarm of a segment that emerges: hot cells gained over 0.5% of the customers in two weekly checks running.

    values, now: (n, d) today's customers, raw and as the model sees them
    """
    if not (today.is_hot and last_week.is_hot):
        return None
    gained: dict[int, float] = {}
    for cell in today.cells:
        gained[cell.cluster] = gained.get(cell.cluster, 0.0) + cell.customers_now - cell.customers_then
    host = min(gained, key=lambda cluster: (-gained[cluster], cluster))
    key = model.segment_keys[host]
    contrasts = contrasts_of(model, values, now, today.members, ~today.members & (now.clusters == host))
    before = sum(cell.customers_then for cell in today.cells)
    members = int(today.members.sum())
    apart = "; ".join(_contrast_in_words(contrast, lens) for contrast in contrasts)
    cells = "1 small region" if len(today.cells) == 1 else f"{len(today.cells)} small regions"
    evidence = (
        f"{cells} of {lens.noun} grew from {before:.0f} to {members} customers in {today.nights} nights, a gain of "
        f"{today.gained_share:.1%} of all (over {HOT_GAIN:.1%}), and of {last_week.gained_share:.1%} a week ago. "
        f"Most of them stand in “{SEGMENT_PLACE}”, which did not grow so. "
        + (f"Against the others there: {apart}." if apart else "No single feature sets them apart from the others.")
    )
    proposal = (
        f"Refit with {model.k + 1} segments, one of them started from these {members} customers; "
        f"if they are no segment of their own to you, leave it to the next refit date."
    )
    figures = {
        "nights": today.nights,
        "customers": today.customers,
        "members": members,
        "customers_then": round(before, DECIMALS),
        "gained_share": round(today.gained_share, DECIMALS),
        "gained_share_a_week_ago": round(last_week.gained_share, DECIMALS),
        "growth": round(members / before, DECIMALS) if before else None,
        "gained_by_segment": {
            model.segment_keys[cluster]: round(gained[cluster], DECIMALS) for cluster in sorted(gained)
        },
        "cells": [
            {
                "segment_key": model.segment_keys[cell.cluster],
                "customers_now": cell.customers_now,
                "customers_then": round(cell.customers_then, DECIMALS),
                "growth": round(cell.growth, DECIMALS),
                "significance": round(cell.significance, DECIMALS),
            }
            for cell in today.cells
        ],
        "sets_apart": [
            {
                "feature": contrast.feature,
                "part": contrast.column.part,
                "category": contrast.column.category,
                "theirs": _json_number(contrast.theirs),
                "others": _json_number(contrast.others),
                "difference": round(contrast.difference, DECIMALS),
            }
            for contrast in contrasts
        ],
        "proposed_k": model.k + 1,
    }
    return Alarm(EMERGING, key, None, evidence, proposal, figures)


def start_with_emerging(clusters: IntArray, members: NDArray[np.bool_], k: int) -> IntArray:
    """What a refit with k + 1 segments starts from: the clusters there are, and the members as cluster k; (n,).

    clusters: (n,) · members: (n,) who stands in a hot cell.
    """
    return np.where(members, k, clusters).astype(np.int64)


def contrasts_of(
    model: Model, values: RawValues, now: Sample, members: NDArray[np.bool_], others: NDArray[np.bool_]
) -> tuple[Contrast, ...]:
    """In what members differ most from others: at most three features, the strongest first.

    values, now: (n, d) the same customers, raw and as the model sees them · members, others: (n,).
    """
    if not members.any() or not others.any():
        return ()
    raw = feature_values(values)
    difference = now.encoded[members].mean(axis=0) - now.encoded[others].mean(axis=0)
    found: list[Contrast] = []
    place = 0
    for index, feature in enumerate(model.encoding.features):
        columns = range(place, place + len(feature.columns))
        place += len(feature.columns)
        if feature.is_idle:
            continue
        scaled = [float(difference[at]) / column.weight for at, column in zip(columns, feature.columns, strict=True)]
        strongest = max(range(len(scaled)), key=lambda at: abs(scaled[at]))
        if abs(scaled[strongest]) < CONTRAST_DIFFERENCE:
            continue
        column = feature.columns[strongest]
        measure = _measured(raw, index, column)
        theirs, rest = (_middle(measure[rows], column) for rows in (members, others))
        found.append(Contrast(feature.column, column, theirs, rest, scaled[strongest]))
    found.sort(key=lambda contrast: (-abs(contrast.difference), contrast.feature))
    return tuple(found[:MOST_CONTRASTS])


def median_radii(cost_at_fit: FloatArray) -> FloatArray:
    """The cost that half of each cluster's customers do not exceed, 0 of an empty one; (k,). cost_at_fit: (n, k)."""
    clusters = nearest(cost_at_fit)
    return np.array(
        [
            float(np.median(cost_at_fit[clusters == cluster, cluster])) if (clusters == cluster).any() else 0.0
            for cluster in range(cost_at_fit.shape[1])
        ]
    )


def retiring_alarms(cost_at_fit: FloatArray, cost_now: FloatArray, model: Model, lens: Lens) -> list[Alarm]:
    """The alarms of segments that empty: under 0.3 of the share of customers within the median radius at the fit.

    cost_at_fit, cost_now: (n, k) and (m, k) of all customers then and now. A segment with
    fewer than ten customers within its radius at the fit is not judged; one that the model never set apart from its
    neighbours cannot be seen to empty, for their customers stand within its radius too.
    """
    if not len(cost_at_fit) or not len(cost_now):
        return []
    radii = median_radii(cost_at_fit)
    within_then, within_now = ((cost <= radii).sum(axis=0) for cost in (cost_at_fit, cost_now))
    alarms = []
    for cluster in range(model.k):
        if within_then[cluster] < FEWEST_WITHIN_RADIUS:
            continue
        then, now = within_then[cluster] / len(cost_at_fit), within_now[cluster] / len(cost_now)
        remaining = float(now / then)
        if remaining >= RETIRED_SHARE:
            continue
        key = model.segment_keys[cluster]
        alarms.append(
            Alarm(
                RETIRING,
                key,
                None,
                f"Near the centre of “{SEGMENT_PLACE}” (within the distance of half its customers at the fit of "
                f"{model.fitted_as_of}) stand {now:.1%} of all {lens.noun}; {then:.1%} did then. What is left is "
                f"{remaining:.2f} of it, under {RETIRED_SHARE}.",
                "Let the next refit go without it, and its customers to the nearest other segments; "
                "plan nothing new for it until then.",
                {
                    "share_at_fit": round(float(then), DECIMALS),
                    "share_now": round(float(now), DECIMALS),
                    "remaining": round(remaining, DECIMALS),
                    "customers_now": int(within_now[cluster]),
                    "fitted_as_of": model.fitted_as_of.isoformat(),
                },
            )
        )
    return alarms


@dataclass(frozen=True)
class Drift:
    """How far a feature's distribution moved. index: population stability index · chance: what chance alone gives."""

    index: float
    chance: float

    @property
    def is_moderate(self) -> bool:
        """Above 0.1, and above chance."""
        return self.index > max(MODERATE_DRIFT, self.chance)

    @property
    def is_large(self) -> bool:
        """Above 0.25, and above chance."""
        return self.index > max(LARGE_DRIFT, self.chance)


def drift(then: FeatureValues, now: FeatureValues, feature: int) -> Drift:
    """The population stability index of a feature between two dates: sum of (p − q) ln(p / q) over bins.

    then, now: (n, d) and (m, d) raw · feature: its place. The bins are then's deciles, or then's twenty most frequent
    categories and the rest, and those of whom it is missing. Half a customer is added to each bin, so that an empty
    one counts. Chance: what one comparison in a thousand of unchanged customers exceeds, (1/n + 1/m) times the quantile
    of chi-square (Yurdakul 2018), which matters in small shops alone. Thresholds as is usual: 0.1 and 0.25 (Siddiqi
    2006).
    """
    from scipy.stats import chi2

    p, q = _binned(then, now, feature)
    if len(p) < 2 or not p.sum() or not q.sum():
        return Drift(0.0, 0.0)
    chance = float(chi2.ppf(1 - CHANCE, len(p) - 1) * (1 / p.sum() + 1 / q.sum()))
    shares = [(counts + 0.5) / (counts.sum() + 0.5 * len(counts)) for counts in (p, q)]
    index = float(((shares[0] - shares[1]) * np.log(shares[0] / shares[1])).sum())
    return Drift(round(index, DECIMALS), round(chance, DECIMALS))


def drifting_alarms(then: RawValues, now: RawValues, model: Model, lens: Lens) -> list[Alarm]:
    """The alarms of features that drifted since the model was fitted, in the model's order.

    then, now: (n, d) and (m, d) raw, in the model's feature order, NaN where missing.
    """
    before, today = feature_values(then), feature_values(now)
    alarms = []
    for index, column in enumerate(model.encoding.columns):
        found = drift(before, today, index)
        if not found.is_moderate:
            continue
        level, threshold = ("large", LARGE_DRIFT) if found.is_large else ("moderate", MODERATE_DRIFT)
        feature = _feature(column, lens)
        label = feature.label if feature else column
        missing = [float(np.isnan(values.numbers[:, index]).mean()) for values in (before, today)]
        medians = [_known_median(values.numbers[:, index]) for values in (before, today)]
        moved = ""
        if index not in today.texts:
            old, new = (_figure(median, feature) for median in medians)
            moved = f", its median from {old} to {new}" if old != new else f", its median still {new}"
        figures: dict[str, object] = {
            "population_stability_index": found.index,
            "chance": found.chance,
            "level": level,
            "missing_share_at_fit": round(missing[0], DECIMALS),
            "missing_share_now": round(missing[1], DECIMALS),
            "fitted_as_of": model.fitted_as_of.isoformat(),
        }
        if index not in today.texts:
            figures |= {
                "median_at_fit": _json_number(medians[0]),
                "median_now": _json_number(medians[1]),
            }
        alarms.append(
            Alarm(
                DRIFTING,
                None,
                column,
                f"{label[0].upper()}{label[1:]} moved since the fit of {model.fitted_as_of}{moved}; unknown of "
                f"{missing[1]:.1%} ({missing[0]:.1%} then). Its population stability index is {found.index:.2f}, "
                f"over {threshold} ({level}).",
                "Look whether its source changed; if customers did, bring the next refit forward."
                if found.is_large
                else "Nothing now: the next refit learns it. Look again if it goes on.",
                figures,
            )
        )
    return alarms


def _emergence(now: Sample, then: Sample, shift: FloatArray, k: int, nights: int) -> Emergence:
    """The hot cells where then's customers are moved by a shift (d,)."""
    cell_of = _micro_cells(np.vstack([now.encoded, then.encoded + shift]))
    cells = int(cell_of.max()) + 1
    scale = len(now) / len(then)
    pseudo = PSEUDO_COUNT_SHARE * len(now)

    here, before = cell_of[: len(now)], cell_of[len(now) :]
    a = np.bincount(here, minlength=cells).astype(np.float64)
    b = np.bincount(before, minlength=cells) * scale
    segment_now = np.bincount(now.clusters, minlength=k)
    segment_then = np.bincount(then.clusters, minlength=k) * scale
    own_growth = np.maximum(1.0, (segment_now + pseudo) / (segment_then + pseudo))
    both = np.zeros((cells, k), dtype=np.int64)
    np.add.at(both, (cell_of, np.concatenate([now.clusters, then.clusters])), 1)
    cluster = both.argmax(axis=1)

    growth = (a + pseudo) / (b + pseudo) / own_growth[cluster]
    significance = (a - b) / np.sqrt(a + b + 1)
    hot = np.flatnonzero((growth > HOT_GROWTH) & (significance > HOT_SIGNIFICANCE))
    hot = hot[np.lexsort((hot, b[hot] - a[hot]))]
    found = tuple(
        HotCell(int(a[cell]), float(b[cell]), float(growth[cell]), float(significance[cell]), int(cluster[cell]))
        for cell in hot
    )
    return Emergence(nights, len(now), found, np.isin(here, hot))


def _micro_cells(pooled: FloatArray) -> IntArray:
    """Cut rows (n, d) into at most 40 cells by k-means; (n,)."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    # There are no more cells than distinct rows; equal customers may differ in the last bits once they are aligned.
    distinct = len(np.unique(pooled[: 50 * MICRO_CELLS].round(9), axis=0))
    kmeans = KMeans(n_clusters=min(MICRO_CELLS, distinct), n_init=1, max_iter=_ITERATIONS, random_state=_SEED)
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        cells: IntArray = kmeans.fit_predict(np.ascontiguousarray(pooled)).astype(np.int64)
    return cells


def _shift_within_segments(now: Sample, then: Sample, k: int) -> FloatArray:
    """By how much customers moved, feature by feature, whichever segment they stand in; (d,).

    Within segments, for a share that grows moves the middle of all customers though nobody moves.
    """
    shift = np.zeros(now.encoded.shape[1])
    total = 0
    for cluster in range(k):
        here, before = now.encoded[now.clusters == cluster], then.encoded[then.clusters == cluster]
        weight = min(len(here), len(before))
        if weight:
            shift += weight * (_interquartile_mean(here) - _interquartile_mean(before))
            total += weight
    return shift / max(total, 1)


def _interquartile_mean(X: FloatArray) -> FloatArray:
    """The mean of the middle half of each column (n, d); (d,)."""
    ordered = np.sort(X, axis=0)
    aside = len(X) // 4
    middle: FloatArray = ordered[aside : len(X) - aside].mean(axis=0)
    return middle


def _binned(then: FeatureValues, now: FeatureValues, feature: int) -> tuple[FloatArray, FloatArray]:
    """How many customers are in each bin, then and now."""
    if feature in then.texts:
        return _binned_texts(_texts(then, feature), _texts(now, feature))
    old, new = then.numbers[:, feature], now.numbers[:, feature]
    known = old[~np.isnan(old)]
    edges = np.unique(np.quantile(known, np.arange(1, DRIFT_BINS) / DRIFT_BINS)) if len(known) else np.empty(0)
    # Nothing lies above a bound that is the greatest value.
    edges = edges[edges < known.max()] if len(known) else edges
    counts = [
        np.append(
            np.bincount(np.searchsorted(edges, column[~np.isnan(column)], side="left"), minlength=len(edges) + 1),
            np.isnan(column).sum(),
        ).astype(np.float64)
        for column in (old, new)
    ]
    used = (counts[0] + counts[1]) > 0
    return counts[0][used], counts[1][used]


def _binned_texts(then: Sequence[str | None], now: Sequence[str | None]) -> tuple[FloatArray, FloatArray]:
    frequency: dict[str, int] = {}
    for text in then:
        if text is not None:
            frequency[text] = frequency.get(text, 0) + 1
    frequent = sorted(frequency, key=lambda text: (-frequency[text], text))[:MOST_CATEGORIES]
    bins = {text: place for place, text in enumerate(frequent)}
    rest = len(bins)
    counts = np.zeros((2, rest + 2))
    for row, texts in enumerate((then, now)):
        for text in texts:
            counts[row, rest + 1 if text is None else bins.get(text, rest)] += 1
    used = counts.sum(axis=0) > 0
    return counts[0, used], counts[1, used]


def _texts(values: FeatureValues, feature: int) -> list[str | None]:
    known = values.texts.get(feature, ())
    return [None if np.isnan(place) else known[int(place)] for place in values.numbers[:, feature]]


def _measured(values: FeatureValues, index: int, column: EncodedColumn) -> FloatArray:
    """What a column is about (n,), raw: the number, or 1 where it is true of a customer and 0 where not."""
    raw = values.numbers[:, index]
    if column.part == MISSING:
        return np.isnan(raw).astype(np.float64)
    if column.part == ZERO:
        return np.where(np.isnan(raw), np.nan, raw <= 0)
    if column.part == ABOVE_ZERO:
        return np.where(raw > 0, raw, np.nan)
    if column.part == CATEGORY:
        return np.array([text == column.category for text in _texts(values, index)], dtype=np.float64)
    if index in values.texts:
        return np.full(len(raw), np.nan)
    return raw


def _middle(measure: FloatArray, column: EncodedColumn) -> float:
    known = measure[~np.isnan(measure)]
    if not len(known):
        return float("nan")
    return float(known.mean() if column.part in (ZERO, CATEGORY, MISSING) else np.median(known))


def _known_median(column: FloatArray) -> float:
    known = column[~np.isnan(column)]
    return float(np.median(known)) if len(known) else float("nan")


def _json_number(value: float) -> float | None:
    return None if np.isnan(value) else round(value, DECIMALS)


def _contrast_in_words(contrast: Contrast, lens: Lens) -> str:
    feature = _feature(contrast.feature, lens)
    label = feature.label if feature else contrast.feature
    if contrast.column.part in (ZERO, CATEGORY, MISSING):
        what = {ZERO: "none", MISSING: "unknown", CATEGORY: contrast.column.category}[contrast.column.part]
        return f"{label} is {what} of {contrast.theirs:.0%} of them, of {contrast.others:.0%} of the others"
    if np.isnan(contrast.theirs) or np.isnan(contrast.others):
        return f"{label} is {'higher' if contrast.difference > 0 else 'lower'}"
    theirs, others = (_figure(value, feature) for value in (contrast.theirs, contrast.others))
    return f"{label} {theirs} (median) against {others}"


def _figure(value: float, feature: LensFeature | None) -> str:
    if np.isnan(value):
        return "unknown"
    unit = feature.unit if feature else "number"
    if unit == "share":
        return f"{value:.1%}"
    if unit in ("amount", "number"):
        return f"{value:.2f}"
    return f"{value:.1f}".removesuffix(".0") + (" days" if unit == "days" else "")


def _feature(column: str, lens: Lens) -> LensFeature | None:
    return next((feature for feature in lens.features if feature.name == column), None)
