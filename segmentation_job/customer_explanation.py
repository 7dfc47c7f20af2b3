"""Why a customer is in their segments, in plain words, from the published file alone.

A lens's file gives the words (labels, units); where it has changed since, a feature is called by its column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
from rich.console import Console
from rich.table import Table

from segmentation_job.errors import SegmentationError
from segmentation_job.runs.feature_matrix import values_of
from segmentation_job.segments.encoding import FeatureEncoding, FeatureValues, FloatArray
from segmentation_job.segments.explanation import figure_text, rule_holds
from segmentation_job.segments.lenses import Lens
from segmentation_job.segments.model import Model

FIRST_LENS = "overall"
MOST_REASONS = 3
MOST_MOVES = 3
# A category is a reason where it is so many times as frequent in the segment as among everyone.
TELLING_RATIO = 1.25
# Members by whom a segment is recognised that is published under another key than its model's.
RECOGNISED_BY = 50
# From this confidence on; it is 0 halfway to another segment and 1 at the centre of the own.
SURENESS = ((0.6, "clearly"), (0.3, "fairly clearly"), (0.1, "narrowly"), (0.0, "just barely"))
CAUSES = {
    "new": "the first in this lens",
    "customer_moved": "because what they do changed",
    "model_changed": "because the segments were fitted anew, not because they changed",
    "both": "because they changed and the segments were fitted anew",
}
_UNITS_BY_ENDING = {"amount": "amount", "count": "count", "days": "days", "share": "share", "rate": "share"}


@dataclass(frozen=True)
class Reason:
    """A feature that keeps the customer in the segment: their value beside the segment's and everyone's, as texts."""

    label: str
    value: str
    segment: str
    everyone: str


@dataclass(frozen=True)
class Move:
    """A change of one feature on the way to another segment: what it is, how it would change, what it is now."""

    label: str
    change: str
    now: str


@dataclass(frozen=True)
class NextSegment:
    """The segment that is nearest after the own one.

    moves: the fewest features found whose change would make it the nearest, the others as they are; none where it is
    nearest already, or where MOST_MOVES do not suffice · is_nearer: it is nearer than the own segment today.
    """

    segment_id: str
    name: str
    moves: tuple[Move, ...]
    is_nearer: bool


@dataclass(frozen=True)
class LensExplanation:
    """A customer's segment in one lens, and why.

    before: the name of the segment before it, None where there was none · reasons: the strongest first; they and
    next_segment need the model, which a repair may have replaced since · meets_rule: None where the rule is worded by
    another state of the lens · rule_precision, rule_recall: at the segment's birth.
    """

    lens: str
    title: str
    segment_id: str
    segment_name: str
    since: date
    cause: str
    before: str | None
    confidence: float
    is_outlier: bool
    reasons: tuple[Reason, ...]
    next_segment: NextSegment | None
    rule: str
    rule_precision: float
    rule_recall: float
    meets_rule: bool | None
    action: str
    stale_reason: str | None


@dataclass(frozen=True)
class CustomerExplanation:
    """A customer's segment in every lens that runs, `overall` first."""

    customer_id: str
    as_of: date
    lenses: tuple[LensExplanation, ...]


def explain_customer(link: Path, customer_id: str, lenses: Sequence[Lens]) -> CustomerExplanation:
    """Explain a customer's current segments from the served file.

    link: of the served file · lenses: as their files are now, for their words. Raises SegmentationError where nothing
    is served or the customer is not in scope.
    """
    if not link.exists():
        raise SegmentationError(f"{link} does not exist: nothing is published yet. Run `make run` first.")
    words = {lens.name: lens for lens in lenses}
    with duckdb.connect(str(link), read_only=True) as connection:
        labels = connection.execute(
            "select labels.lens, labels.as_of_date, labels.segment_id, labels.segment_name, labels.model_version,"
            " labels.confidence, labels.is_outlier, labels.segment_since, segments.rule, segments.rule_precision,"
            " segments.rule_recall, segments.recommended_action"
            " from customer_segments as labels"
            " inner join segments on labels.lens = segments.lens and labels.segment_id = segments.segment_id"
            " where labels.customer_id = ? order by labels.lens != ?, labels.lens",
            [customer_id, FIRST_LENS],
        ).fetchall()
        if not labels:
            raise SegmentationError(_why_unknown(connection, customer_id))
        return CustomerExplanation(
            customer_id,
            max(label[1] for label in labels),
            tuple(_explain_lens(connection, customer_id, label, words.get(label[0])) for label in labels),
        )


def print_explanation(explanation: CustomerExplanation, console: Console) -> None:
    """Print the explanation, a paragraph a lens."""
    console.print(f"Customer {explanation.customer_id}, as of {explanation.as_of}", style="bold", markup=False)
    for lens in explanation.lenses:
        console.print()
        console.print(lens.title, style="bold", markup=False)
        grid = Table.grid(padding=(0, 2), pad_edge=True)
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column()
        for name, text in _paragraphs(lens):
            grid.add_row(name, text)
        console.print(grid, markup=False)


def _paragraphs(lens: LensExplanation) -> list[tuple[str, str]]:
    before = f" (before: {lens.before})" if lens.before else ""
    rows = [
        ("segment", f"{lens.segment_name} ({lens.segment_id}), since {lens.since}, {lens.cause}{before}"),
        ("how sure", _sureness(lens)),
    ]
    for place, reason in enumerate(lens.reasons):
        told = f"{reason.label}: {reason.value} (segment {reason.segment}, everyone {reason.everyone})"
        rows.append(("why" if place == 0 else "", told))
    if lens.next_segment is not None:
        rows.append(("next nearest", _way(lens.next_segment)))
    elif not lens.reasons:
        rows.append(("why", "the model that gave the segment has been replaced; run the date again for its reasons"))
    if lens.rule:
        met = {True: "They meet it.", False: "They do not meet it.", None: ""}[lens.meets_rule]
        figures = (
            f"Of those who met it when the segment was born {lens.rule_precision:.0%} belonged to it, "
            f"{lens.rule_recall:.0%} of its members met it."
        )
        rows.append(("rule", f"{lens.rule}. {met} {figures}".replace("  ", " ")))
    rows.append(("to do", lens.action))
    if lens.stale_reason:
        rows.append(("note", f"the date was computed from something else than there is now: {lens.stale_reason}"))
    return rows


def _sureness(lens: LensExplanation) -> str:
    word = next(word for least, word in SURENESS if lens.confidence >= least)
    text = f"{word} in it: {lens.confidence:.2f}, where 0 is halfway to another segment and 1 the centre of this one"
    if lens.is_outlier:
        text += "; but farther out than nearly all of its members, so read the segment with care"
    return text


def _way(other: NextSegment) -> str:
    name = f"{other.name} ({other.segment_id})"
    if other.is_nearer:
        return f"{name}, to which they are nearer by today's figures alone"
    if not other.moves:
        return f"{name}; no change of {MOST_MOVES} features alone would take them there"
    moves = [f"{move.label} {move.change} (now {move.now})" for move in other.moves]
    listed = moves[0] if len(moves) == 1 else f"{', '.join(moves[:-1])} and {moves[-1]}"
    return f"{name}, where they would be if {listed}, all else as it is"


def _why_unknown(connection: duckdb.DuckDBPyConnection, customer_id: str) -> str:
    as_of, customers, example = connection.execute(
        "select max(as_of_date), count(distinct customer_id), min(customer_id) from customer_segments"
    ).fetchall()[0]
    left = connection.execute(
        "select max(valid_from) from customer_segment_history where customer_id = ?", [customer_id]
    ).fetchall()[0][0]
    if left is not None:
        return (
            f"Customer {customer_id!r} is not in scope at {as_of}, and is in no segment since {left}: "
            "the source has no row of theirs any more. customer_segment_history has their segments until then."
        )
    return (
        f"Customer {customer_id!r} is not in scope at {as_of}: nothing of theirs happened before that date. "
        f"{customers:,} customers are; their ids look like {example}."
    )


def _explain_lens(
    connection: duckdb.DuckDBPyConnection, customer_id: str, label: tuple[object, ...], lens: Lens | None
) -> LensExplanation:
    name, as_of, segment_id, segment_name, model_version, confidence, is_outlier, since = label[:8]
    rule, precision, recall, action = label[8:]
    cause, before = _history(connection, str(name), customer_id)
    stale = connection.execute(
        "select stale_reason from segmentation_runs where lens = ? and as_of_date = ?", [name, as_of]
    ).fetchall()
    found = connection.execute("select parameters from models where model_version = ?", [model_version]).fetchall()
    reasons: tuple[Reason, ...] = ()
    next_segment = None
    if found:
        place = _Place(connection, customer_id, str(segment_id), Model.from_json(str(found[0][0])), lens)
        reasons, next_segment = place.reasons(), place.next_segment()
    return LensExplanation(
        lens=str(name),
        title=lens.title if lens else str(name),
        segment_id=str(segment_id),
        segment_name=str(segment_name),
        since=since if isinstance(since, date) else date.fromisoformat(str(since)),
        cause=CAUSES.get(cause, cause),
        before=before,
        confidence=float(str(confidence)),
        is_outlier=bool(is_outlier),
        reasons=reasons,
        next_segment=next_segment,
        rule=str(rule),
        rule_precision=float(str(precision)),
        rule_recall=float(str(recall)),
        meets_rule=_meets_rule(connection, customer_id, str(rule), lens),
        action=str(action),
        stale_reason=str(stale[0][0]) if stale and stale[0][0] else None,
    )


def _history(connection: duckdb.DuckDBPyConnection, lens: str, customer_id: str) -> tuple[str, str | None]:
    """The cause of the current interval, and the name of the segment before it."""
    intervals = connection.execute(
        "select change_cause, segment_name, valid_to from customer_segment_history"
        " where lens = ? and customer_id = ? order by valid_from desc limit 2",
        [lens, customer_id],
    ).fetchall()
    cause = str(intervals[0][0]) if intervals else "unknown"
    before = str(intervals[1][1]) if len(intervals) > 1 and intervals[1][1] is not None else None
    return cause, before


def _meets_rule(connection: duckdb.DuckDBPyConnection, customer_id: str, rule: str, lens: Lens | None) -> bool | None:
    if lens is None or not rule:
        return None
    names = [feature.name for feature in lens.features]
    if not _has_columns(connection, names):
        return None
    values = _read_features(connection, names, lens.text_columns(), [customer_id])
    met = rule_holds(rule, values, lens)
    return None if met is None else bool(met[0])


def _has_columns(connection: duckdb.DuckDBPyConnection, names: Sequence[str]) -> bool:
    known = {str(row[0]) for row in connection.execute("describe customer_360").fetchall()}
    return known.issuperset(name.partition(".")[2] for name in names)


def _read_features(
    connection: duckdb.DuckDBPyConnection, names: Sequence[str], text_columns: frozenset[str], customers: Sequence[str]
) -> FeatureValues:
    """The features "table.column" of some customers (n, d), sorted by id, from their wide table."""
    expressions = ", ".join(
        f'cast("{name.partition(".")[2]}" as {"varchar" if name in text_columns else "double"}) as "{name}"'
        for name in names
    )
    found = connection.sql(
        f"select {expressions} from customer_360 where customer_id in (select unnest(?)) order by customer_id",
        params=[list(customers)],
    )
    return values_of(found.to_arrow_table(), names, text_columns)


@dataclass(frozen=True)
class _Typical:
    """What is typical of a segment, or of everyone: medians and means of numbers, shares of texts; by feature."""

    medians: Mapping[str, float]
    means: Mapping[str, float]
    shares: Mapping[str, Mapping[str, float]]

    def value(self, feature: FeatureEncoding) -> float | str | None:
        """The median of a number, the middle value of an order, the most frequent category; None where unknown."""
        column = feature.column.partition(".")[2]
        if feature.encoding not in ("one_hot", "ordinal"):
            return self.medians.get(column)
        shares = self.shares.get(column, {})
        if feature.encoding == "one_hot":
            return min(shares, key=lambda text: (-shares[text], text), default=None)
        ordered = [text for text in feature.order if shares.get(text, 0) > 0]
        half, passed = sum(shares[text] for text in ordered) / 2, 0.0
        for text in ordered:
            passed += shares[text]
            if passed >= half:
                return text
        return None


class _Place:
    """Where a customer stands among the segments of a model."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        customer_id: str,
        segment_id: str,
        model: Model,
        lens: Lens | None,
    ) -> None:
        self.connection = connection
        self.model = model
        self.features = model.encoding.features
        self.words = {feature.name: feature for feature in lens.features} if lens else {}
        self.segments = self._segments_by_cluster()
        self.segment_id = segment_id
        self.own = next((cluster for cluster, (key, _) in self.segments.items() if key == segment_id), None)
        self.customer: list[float | str | None] = self._values_of(customer_id)

    def reasons(self) -> tuple[Reason, ...]:
        """The features without whose difference from everyone the customer would be the least sure of the segment."""
        if self.own is None:
            return ()
        own, everyone = self._typical(self.segment_id)
        advantage = self._advantage(self.customer)
        strengths = []
        for index, feature in enumerate(self.features):
            usual = everyone.value(feature)
            if usual is None or self.customer[index] is None or not self._is_telling(index, own, everyone):
                continue
            like_everyone = [*self.customer[:index], usual, *self.customer[index + 1 :]]
            strengths.append((advantage - self._advantage(like_everyone), index))
        strongest = sorted(strengths, key=lambda entry: (-entry[0], entry[1]))[:MOST_REASONS]
        return tuple(
            self._reason(index, own, everyone) for strength, index in strongest if strength > 0.1 * strongest[0][0] > 0
        )

    def next_segment(self) -> NextSegment | None:
        """The nearest other segment, and what would take the customer there; None where there is no other."""
        if self.own is None or self.model.k < 2:
            return None
        cost = self._cost(self.customer)
        others = [cluster for cluster in range(self.model.k) if cluster != self.own and cluster in self.segments]
        if not others:
            return None
        other = min(others, key=lambda cluster: (cost[cluster], cluster))
        segment_id, name = self.segments[other]
        is_nearer = bool(cost[other] < cost[self.own])
        moves = () if is_nearer else self._moves(other, self._typical(segment_id)[0])
        return NextSegment(segment_id, name, moves, is_nearer)

    def _segments_by_cluster(self) -> dict[int, tuple[str, str]]:
        """Id and name of the segment of each cluster that is published."""
        named = self.connection.execute(
            "select segment_key, segment_id, name from segments where lens = ?", [self.model.lens_name]
        ).fetchall()
        by_key = {str(key): (str(segment_id), str(name)) for key, segment_id, name in named}
        segments = {cluster: by_key[key] for cluster, key in enumerate(self.model.segment_keys) if key in by_key}
        if len(segments) == self.model.k:
            return segments
        # A key may stand for a segment that an older key names: then its members tell which cluster it is.
        names = dict(by_key.values())
        for (segment_id,) in self.connection.execute(
            "select distinct segment_id from customer_segments where model_version = ? order by 1",
            [self.model.version],
        ).fetchall():
            if segment_id in {known for known, _ in segments.values()}:
                continue
            members = self.connection.execute(
                "select customer_id from customer_segments where model_version = ? and segment_id = ?"
                " order by confidence desc, customer_id limit ?",
                [self.model.version, segment_id, RECOGNISED_BY],
            ).fetchall()
            clusters = self.model.cost(self._read([str(member) for (member,) in members])).argmin(axis=1)
            cluster = int(np.bincount(clusters, minlength=self.model.k).argmax())
            segments.setdefault(cluster, (str(segment_id), names.get(str(segment_id), str(segment_id))))
        return segments

    def _read(self, customers: Sequence[str]) -> FeatureValues:
        encoding = self.model.encoding
        return _read_features(self.connection, encoding.columns, encoding.text_columns, customers)

    def _values_of(self, customer_id: str) -> list[float | str | None]:
        values = self._read([customer_id])
        found: list[float | str | None] = []
        for index, number in enumerate(values.numbers[0].tolist()):
            if np.isnan(number):
                found.append(None)
            else:
                found.append(values.texts[index][int(number)] if index in values.texts else float(number))
        return found

    def _cost(self, customer: Sequence[float | str | None]) -> FloatArray:
        """The cost of each cluster (k,) for a customer of these values."""
        numbers = np.full((1, len(customer)), np.nan)
        texts: dict[int, tuple[str, ...]] = {}
        for index, (feature, value) in enumerate(zip(self.features, customer, strict=True)):
            if feature.column in self.model.encoding.text_columns:
                texts[index] = () if value is None else (str(value),)
                numbers[0, index] = np.nan if value is None else 0.0
            elif value is not None:
                numbers[0, index] = float(value)
        cost: FloatArray = self.model.cost(FeatureValues(numbers, texts))[0]
        return cost

    def _is_telling(self, index: int, own: _Typical, everyone: _Typical) -> bool:
        """Whether a reader would see the segment in the customer's category: it is more frequent there."""
        if self.features[index].encoding != "one_hot":
            return True
        column, category = self.features[index].column.partition(".")[2], str(self.customer[index])
        share, usual = (typical.shares.get(column, {}).get(category, 0.0) for typical in (own, everyone))
        return share >= TELLING_RATIO * usual

    def _advantage(self, customer: Sequence[float | str | None]) -> float:
        """How much nearer the own segment is than the others are on average."""
        cost = self._cost(customer)
        return float((cost.sum() - cost[self.own]) / max(len(cost) - 1, 1) - cost[self.own])

    def _typical(self, segment_id: str) -> tuple[_Typical, _Typical]:
        """What is typical of the segment, and of everyone."""
        rows = self.connection.execute(
            "select feature, feature_value, segment_median, segment_mean, segment_share, population_median,"
            " population_mean, population_share from segment_profiles where segment_id = ? and lens = ?"
            " and as_of_date = (select max(as_of_date) from segment_profiles where segment_id = ? and lens = ?)",
            [segment_id, self.model.lens_name] * 2,
        ).fetchall()
        found = []
        for first in (2, 5):
            numbers = [row for row in rows if row[1] is None and row[first] is not None]
            shares: dict[str, dict[str, float]] = {}
            for row in rows:
                if row[1] is not None:
                    shares.setdefault(str(row[0]), {})[str(row[1])] = float(row[first + 2])
            found.append(
                _Typical(
                    {str(row[0]): float(row[first]) for row in numbers},
                    {str(row[0]): float(row[first + 1]) for row in numbers},
                    shares,
                )
            )
        return found[0], found[1]

    def _reason(self, index: int, own: _Typical, everyone: _Typical) -> Reason:
        feature = self.features[index]
        column = feature.column.partition(".")[2]
        value = self.customer[index]
        told = self._told(index, value)
        if feature.encoding == "one_hot":
            shares = (typical.shares.get(column, {}).get(str(value), 0.0) for typical in (own, everyone))
            return Reason(self._label(index), told, *(f"has it in {figure_text(share, 'share')}" for share in shares))
        theirs, general = (self._told(index, typical.value(feature)) for typical in (own, everyone))
        if theirs != general or feature.order:
            return Reason(self._label(index), told, f"typically {theirs}", general)
        # Medians of rare events are all 0; then the means tell the difference.
        means = (self._told(index, typical.means.get(column)) for typical in (own, everyone))
        return Reason(self._label(index), told, *(f"on average {mean}" for mean in means))

    def _moves(self, other: int, typical: _Typical) -> tuple[Move, ...]:
        """The fewest features, taken greedily, whose change to what is typical there makes that segment nearer."""
        changed = list(self.customer)
        chosen: list[int] = []
        while len(chosen) < MOST_MOVES:
            tries = []
            for index, feature in enumerate(self.features):
                target = typical.value(feature)
                if index in chosen or target is None or target == changed[index]:
                    continue
                tries.append((self._lead([*changed[:index], target, *changed[index + 1 :]], other), index, target))
            if not tries:
                return ()
            lead, index, target = min(tries, key=lambda entry: (entry[0], entry[1]))
            if lead >= self._lead(changed, other):
                return ()
            chosen.append(index)
            if lead < 0:
                changed[index] = self._least_change(changed, index, target, other)
                return tuple(self._move(place, changed[place]) for place in chosen)
            changed[index] = target
        return ()

    def _lead(self, customer: Sequence[float | str | None], other: int) -> float:
        """How much nearer the own segment is than another; below zero where the other is nearer."""
        cost = self._cost(customer)
        return float(cost[other] - cost[self.own])

    def _least_change(
        self, customer: Sequence[float | str | None], index: int, target: float | str, other: int
    ) -> float | str:
        """How far a number must go towards a target for the other segment to be nearer, as it is written."""
        now = customer[index]
        if isinstance(target, str) or not isinstance(now, float):
            return target

        def leads(value: float) -> bool:
            return self._lead([*customer[:index], value, *customer[index + 1 :]], other) < 0

        stays, goes = now, target
        for _ in range(40):
            middle = (stays + goes) / 2
            stays, goes = (stays, middle) if leads(middle) else (middle, goes)
        # Written with its unit's digits, on the far side of the border.
        step = {"count": 1.0, "days": 1.0, "share": 0.001, "score": 1.0}.get(self._unit(index), 0.01)
        rounded = float(np.floor(goes / step) * step if target < now else np.ceil(goes / step) * step)
        return rounded if leads(rounded) else goes

    def _move(self, index: int, value: float | str | None) -> Move:
        now = self.customer[index]
        told = self._told(index, value)
        if isinstance(now, float) and isinstance(value, float):
            change = f"rose to {told}" if value > now else f"fell to {told}"
        else:
            change = f"were {told}"
        return Move(self._label(index), change, self._told(index, now))

    def _told(self, index: int, value: float | str | None) -> str:
        if value is None:
            return "not known"
        return value if isinstance(value, str) else figure_text(value, self._unit(index))

    def _label(self, index: int) -> str:
        column = self.features[index].column
        return self.words[column].label if column in self.words else column.partition(".")[2].replace("_", " ")

    def _unit(self, index: int) -> str:
        column = self.features[index].column
        if column in self.words and self.words[column].unit != "category":
            return self.words[column].unit
        parts = [part for part in column.split("_") if part in _UNITS_BY_ENDING]
        return _UNITS_BY_ENDING[parts[-1]] if parts else "number"
