"""Segments in a marketer's words: names, descriptions, rules, recommended actions."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from segmentation_job.segments.algorithms import IntArray
from segmentation_job.segments.encoding import (
    MISSING,
    ZERO,
    EncodedColumn,
    Encoding,
    FeatureEncoding,
    FeatureValues,
    FloatArray,
    RawValues,
    encode,
    feature_values,
    frequent_categories,
    is_category,
    missing_values,
    ordinal_places,
)
from segmentation_job.segments.lenses import SMALL_VALUE_PLACE, VALUE_PLACE, Lens, LensFeature

if TYPE_CHECKING:
    from sklearn.tree import DecisionTreeClassifier

# In standard deviations of all customers: where a difference deserves a word, and where it deserves "far".
TRAIT_DIFFERENCE = 0.4
FAR_DIFFERENCE = 1.0
NAME_TRAITS = 2
DESCRIBED_TRAITS = 3
# Where so many of a segment lack a number, that they lack it is what there is to say of it; where more than half do,
# its differences are those of the value that stands in for it, and are not said.
LACKING_SHARE = 0.8
RULE_DEPTH = 3

_NUMERALS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_COMPARATIVES = {
    "count": ("", "more", "fewer"),
    "days": ("a ", "longer", "shorter"),
    "amount": ("a ", "higher", "lower"),
    "share": ("a ", "higher", "lower"),
    "number": ("a ", "higher", "lower"),
    "score": ("a ", "higher", "lower"),
    "category": ("a ", "higher", "lower"),
}


@dataclass(frozen=True)
class Trait:
    """A feature in which a segment differs from all customers.

    column: "table.column" · direction: "high" or "low", "missing" where it is known of fewer · difference: of the
    means (of a "missing" one: of the shares that lack it), in standard deviations · category: the one that is more
    frequent, of a one_hot feature that is "high".
    """

    column: str
    direction: str
    difference: float
    category: str = ""


@dataclass(frozen=True)
class SegmentText:
    """What a person reads about a segment; its traits, the strongest first."""

    name: str
    description: str
    traits: tuple[Trait, ...]


@dataclass(frozen=True)
class Rule:
    """A rule of thumb for belonging to a segment.

    precision: share of the customers meeting it who belong · recall: share of the segment who meet it; both
    of the text as printed, where a missing value meets no condition, as in SQL. Without members, or with
    everyone a member, there is no rule: the text is empty and both are 0.
    """

    text: str
    precision: float
    recall: float


def name_segments(
    values: RawValues,
    encoding: Encoding,
    clusters: IntArray,
    lens: Lens,
    taken: Mapping[str, str],
    segment_keys: Sequence[str],
) -> list[SegmentText]:
    """A text for each cluster; a name never repeats another of the lens's, past or present.

    values: (n, d) raw, in the lens's feature order, NaN where missing · encoding: what the clusters were found by ·
    clusters: (n,) in 0..k−1 · taken: segment_key → name of every segment that ever had one; a cluster that continues
    one keeps that name · segment_keys: (k,) by cluster. A new name says the strongest differences, one of a family;
    where it is taken a further one; at last a numeral.
    """
    given = feature_values(values)
    # In standard deviations, whatever the lens makes of a family.
    X = encode(given, _unweighted(encoding))
    missing = missing_values(given, encoding)
    used = {name.casefold() for name in taken.values()}
    texts = []
    for cluster, key in enumerate(segment_keys):
        members = clusters == cluster
        traits = _traits(X, missing, members, encoding, lens)
        if key in taken:
            name = taken[key]
        else:
            name = next(name for name in _possible_names(traits, lens) if name.casefold() not in used)
            used.add(name.casefold())
        texts.append(SegmentText(name, _description(traits, lens, given, members), tuple(traits)))
    return texts


def recommended_action(traits: Sequence[Trait], lens: Lens) -> str:
    """The lens's first action all of whose conditions are among the traits, else its default."""
    present = {(trait.column, trait.direction) for trait in traits}
    for action in lens.actions:
        if all((condition.column, condition.direction) in present for condition in action.when):
            return action.action
    return lens.default_action


def shallow_rule(values: RawValues, clusters: IntArray, cluster: int, lens: Lens) -> Rule:
    """At most three conditions on raw features that find a segment's customers best (highest F1).

    values: (n, d) raw, in the lens's feature order, NaN where missing; a sample will do · clusters: (n,).
    The conditions are a path in a decision tree of depth 3; a condition on a category is that it is this one or not.
    """
    from sklearn.tree import DecisionTreeClassifier

    members = clusters == cluster
    if members.all() or not members.any():
        return Rule("", 0.0, 0.0)
    measures = _measures(feature_values(values), lens)
    if not measures:
        return Rule("", 0.0, 0.0)
    filled = np.column_stack(
        [np.where(np.isnan(measure.values), _median(measure.values), measure.values) for measure in measures]
    )
    rules = []
    # Balanced weights look for recall of a small segment, plain ones for precision: F1 decides.
    for class_weight in (None, "balanced"):
        tree = DecisionTreeClassifier(max_depth=RULE_DEPTH, class_weight=class_weight, random_state=lens.seed)
        tree.fit(filled, members)
        for path in _paths(tree):
            conditions = _simplified(path, measures)
            rules.append((conditions, _rule(conditions, members)))
    _, best = min(rules, key=lambda pair: (-_f1(pair[1]), len(pair[0]), pair[1].text))
    return best


@dataclass(frozen=True)
class _Measure:
    """What a condition can be about (n,), NaN where missing: a number, a place in an order, a category (1) or not (0).

    category: the one in question; None where the feature is no one_hot.
    """

    feature: LensFeature
    values: FloatArray
    category: str | None = None


@dataclass(frozen=True)
class _Condition:
    """A measure above (or at most) a threshold as printed. index: of the measure."""

    index: int
    measure: _Measure
    above: bool
    threshold: float

    def holds(self) -> NDArray[np.bool_]:
        values = self.measure.values
        held: NDArray[np.bool_] = values > self.threshold if self.above else values <= self.threshold
        return held


def _unweighted(encoding: Encoding) -> Encoding:
    return Encoding(
        tuple(
            replace(feature, columns=tuple(replace(column, weight=1.0) for column in feature.columns))
            for feature in encoding.features
        )
    )


def _traits(
    X: FloatArray, missing: NDArray[np.bool_], members: NDArray[np.bool_], encoding: Encoding, lens: Lens
) -> list[Trait]:
    """X: (n, width) in standard deviations · missing: (n, d)."""
    if not members.any():
        return []
    differences = X[members].mean(axis=0) - X.mean(axis=0)
    lacking, usual = missing[members].mean(axis=0), missing.mean(axis=0)
    traits = []
    place = 0
    for index, feature in enumerate(encoding.features):
        own = differences[place : place + len(feature.columns)]
        place += len(feature.columns)
        if feature.encoding == "one_hot" or lacking[index] <= 0.5:
            traits += _feature_traits(feature, own)
        elif lens.features[index].missing and lacking[index] >= LACKING_SHARE:
            spread = math.sqrt(usual[index] * (1 - usual[index]))
            difference = round(float(lacking[index] - usual[index]) / spread, 6) if spread else 0.0
            traits += [Trait(feature.column, "missing", difference)] if difference >= TRAIT_DIFFERENCE else []
    return sorted(traits, key=lambda trait: (not _is_lack(trait, lens), -abs(trait.difference)))


def _is_lack(trait: Trait, lens: Lens) -> bool:
    """Whether the trait is that a number is missing: the others mostly follow from it, so it is said first."""
    return trait.direction == "missing" and _feature(trait.column, lens).encoding != "one_hot"


def _feature_traits(feature: FeatureEncoding, differences: FloatArray) -> list[Trait]:
    """differences: of the encoded columns of the feature, in standard deviations."""
    if feature.is_idle:
        return []
    traits = [
        _trait(feature, column, round(float(difference), 6))
        for column, difference in zip(feature.columns, differences, strict=True)
    ]
    traits = [trait for trait in traits if abs(trait.difference) >= TRAIT_DIFFERENCE]
    if feature.encoding == "one_hot":
        # That a category is rare here is said by those which are frequent instead.
        return [trait for trait in traits if trait.difference > 0]
    # A hurdle's two columns are one thing to say: by the stronger of them.
    return sorted(traits, key=lambda trait: -abs(trait.difference))[:1]


def _trait(feature: FeatureEncoding, column: EncodedColumn, difference: float) -> Trait:
    if column.part == MISSING:
        return Trait(feature.column, "missing", difference)
    if column.part == ZERO:
        difference = -difference
    return Trait(feature.column, "high" if difference > 0 else "low", difference, column.category)


def _possible_names(traits: Sequence[Trait], lens: Lens) -> Iterator[str]:
    said = _one_per_family(_sayable(traits, lens), lens)
    fewest = 1 if said and _is_lack(said[0], lens) else min(NAME_TRAITS, len(said))
    names = [_name(said[:count], lens) for count in range(fewest, len(said) + 1)]
    yield from names
    yield from (f"{names[0]}, group {numeral}" for numeral in _NUMERALS)
    number = len(_NUMERALS) + 2
    while True:
        yield f"{names[0]}, group {number}"
        number += 1


def _name(traits: Sequence[Trait], lens: Lens) -> str:
    order = {feature.name: index for index, feature in enumerate(lens.features)}
    spoken = sorted(traits, key=lambda trait: order[trait.column])
    with_noun = [trait for trait in spoken if _words(trait, lens)[1]]
    head = with_noun[-1] if with_noun else None
    adjectives = [_words(trait, lens)[0] for trait in spoken if trait is not head]
    if not spoken:
        adjectives = ["typical"]
    name = " ".join([*adjectives, _words(head, lens)[1] if head else lens.noun])
    return name[0].upper() + name[1:]


def _words(trait: Trait, lens: Lens) -> tuple[str, str]:
    feature = _feature(trait.column, lens)
    if trait.direction == "missing":
        return feature.missing, feature.missing_noun
    if trait.direction == "high":
        return _filled(feature.high, trait.category), _filled(feature.high_noun, trait.category)
    return feature.low, feature.low_noun


def _filled(word: str, category: str) -> str:
    return word.replace(VALUE_PLACE, category).replace(SMALL_VALUE_PLACE, category.lower())


def _sayable(traits: Iterable[Trait], lens: Lens) -> list[Trait]:
    return [trait for trait in traits if _words(trait, lens)[0]]


def _one_per_family(traits: Iterable[Trait], lens: Lens) -> list[Trait]:
    strongest: dict[str, Trait] = {}
    words: set[str] = set()
    for trait in traits:
        word = _words(trait, lens)[0]
        if word not in words or not word:
            strongest.setdefault(_feature(trait.column, lens).family, trait)
            words.add(word)
    return list(strongest.values())


def _feature(column: str, lens: Lens) -> LensFeature:
    return next(feature for feature in lens.features if feature.name == column)


def _description(traits: Sequence[Trait], lens: Lens, values: FeatureValues, members: NDArray[np.bool_]) -> str:
    if not members.any():
        return f"No {lens.noun} belong here at present."
    if not traits:
        return f"These {lens.noun} are close to the average of all customers in everything."
    # What the name says comes first into the description, or a reader looks for it in vain.
    named = _one_per_family(_sayable(traits, lens), lens)[:NAME_TRAITS]
    others = [trait for trait in traits if trait not in named]
    chosen = _one_per_family([*named, *others], lens)[:DESCRIBED_TRAITS]
    described = [trait for trait in traits if trait in chosen]
    phrases = [_phrase(trait, lens, values, members) for trait in described]
    listed = phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} and {phrases[-1]}"
    return f"These {lens.noun} stand out by {listed}."


def _phrase(trait: Trait, lens: Lens, values: FeatureValues, members: NDArray[np.bool_]) -> str:
    feature = _feature(trait.column, lens)
    index = lens.features.index(feature)
    article, more, less = _COMPARATIVES[feature.unit]
    far = "far " if abs(trait.difference) >= FAR_DIFFERENCE else ""
    if feature.encoding == "one_hot" or trait.direction == "missing":
        known = ordinal_places(values, index, feature.order) if feature.order else values.numbers[:, index]
        has_it = np.isnan(known)
        what = f"with no known {feature.label}"
        if _is_lack(trait, lens):
            what = f"of {feature.missing_noun or f'{feature.missing} {lens.noun}'}"
        elif trait.direction != "missing":
            has_it = is_category(values, index, trait.category)
            what = f"with {feature.label} {trait.category}"
        theirs, everyone = (figure_text(float(chosen.mean()), "share") for chosen in (has_it[members], has_it))
        return f"a {far}higher share {what} ({theirs}, all customers {everyone})"
    column = ordinal_places(values, index, feature.order) if feature.order else values.numbers[:, index]
    comparative = more if trait.direction == "high" else less
    return f"{article}{far}{comparative} {feature.label}{_figures(trait, feature, column, members)}"


def _figures(trait: Trait, feature: LensFeature, column: FloatArray, members: NDArray[np.bool_]) -> str:
    theirs, everyone = column[members & ~np.isnan(column)], column[~np.isnan(column)]
    if len(theirs) == 0:
        return ""
    if feature.order:
        place, usual = (math.floor(np.median(places)) for places in (theirs, everyone))
        if place == usual or (place > usual) != (trait.direction == "high"):
            return ""
        return f" (typically {feature.order[place]}, all customers {feature.order[usual]})"
    # Medians of rare events are all 0 and would seem to deny the difference; then the means tell it.
    for word, statistic in (("typically", np.median), ("on average", np.mean)):
        own, general = float(statistic(theirs)), float(statistic(everyone))
        shown, compared = figure_text(own, feature.unit), figure_text(general, feature.unit)
        if shown != compared and (own > general) == (trait.direction == "high"):
            return f" ({word} {shown}, all customers {compared})"
    return ""


def figure_text(value: float, unit: str) -> str:
    """A figure of a feature as people write it. unit: one of UNITS but "category"."""
    if unit in ("amount", "number"):
        return f"{round(value, 2) + 0.0:.2f}"
    if unit == "share":
        return f"{_plain(100 * value)}%"
    if unit == "days":
        return f"{_plain(value)} {'day' if _plain(value) == '1' else 'days'}"
    return _plain(value)


def _plain(value: float) -> str:
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")


def _measures(values: FeatureValues, lens: Lens) -> list[_Measure]:
    measures = []
    for index, feature in enumerate(lens.features):
        column = values.numbers[:, index]
        if feature.encoding == "one_hot":
            # Unknown is no category, and meets no condition on one.
            measures += [
                _Measure(feature, np.where(np.isnan(column), np.nan, is_category(values, index, category)), category)
                for category in frequent_categories(values, index)
            ]
        elif feature.encoding == "ordinal":
            measures.append(_Measure(feature, ordinal_places(values, index, feature.order)))
        else:
            measures.append(_Measure(feature, column))
    return measures


def _as_printed(threshold: float, measure: _Measure) -> float:
    feature, known = measure.feature, measure.values[~np.isnan(measure.values)]
    if measure.category is not None:
        return 0.5
    if feature.order:
        return float(math.floor(threshold))
    if feature.unit in ("count", "days") and bool((known == np.floor(known)).all()):
        return float(math.floor(threshold))
    return round(threshold, {"amount": 2, "share": 3, "number": 2}.get(feature.unit, 1)) + 0.0


def _paths(tree: DecisionTreeClassifier) -> list[list[tuple[int, bool, float]]]:
    nodes = tree.tree_
    paths: list[list[tuple[int, bool, float]]] = []
    pending: list[tuple[int, list[tuple[int, bool, float]]]] = [(0, [])]
    while pending:
        node, path = pending.pop()
        if path:
            paths.append(path)
        if nodes.children_left[node] != nodes.children_right[node]:
            split = (int(nodes.feature[node]), float(nodes.threshold[node]))
            pending.append((int(nodes.children_left[node]), [*path, (split[0], False, split[1])]))
            pending.append((int(nodes.children_right[node]), [*path, (split[0], True, split[1])]))
    return paths


def _simplified(path: list[tuple[int, bool, float]], measures: Sequence[_Measure]) -> list[_Condition]:
    tightest: dict[tuple[int, bool], float] = {}
    for index, above, threshold in path:
        printed = _as_printed(threshold, measures[index])
        narrower = max if above else min
        tightest[index, above] = narrower(tightest.get((index, above), printed), printed)
    return [_Condition(index, measures[index], above, threshold) for (index, above), threshold in tightest.items()]


def _rule(conditions: Sequence[_Condition], members: NDArray[np.bool_]) -> Rule:
    met = np.logical_and.reduce([condition.holds() for condition in conditions])
    both = int((met & members).sum())
    text = " and ".join(_said(condition) for condition in conditions)
    return Rule(text, round(both / max(int(met.sum()), 1), 6), round(both / int(members.sum()), 6))


def _said(condition: _Condition) -> str:
    feature, category = condition.measure.feature, condition.measure.category
    if category is not None:
        return f"{feature.label} is {category}" if condition.above else f"{feature.label} is not {category}"
    if feature.order:
        return f"{feature.label} {'>' if condition.above else '≤'} {feature.order[int(condition.threshold)]}"
    if feature.unit == "count" and not condition.above and condition.threshold == 0:
        return f"no {feature.label}"
    return f"{feature.label} {'>' if condition.above else '≤'} {figure_text(condition.threshold, feature.unit)}"


_FIGURE = re.compile(r"(-?\d+(?:\.\d+)?)(?:%| days?)?")


def rule_holds(text: str, values: RawValues, lens: Lens) -> NDArray[np.bool_] | None:
    """Who meets a rule as it was printed (n,); a missing value meets no condition.

    text: of a Rule of this lens · values: (n, d) raw, in the lens's feature order, NaN where missing. None where the
    text is no such rule: it is empty, or was printed by other labels than the lens has now.
    """
    given = feature_values(values)
    met: NDArray[np.bool_] = np.ones(len(given), dtype=bool)
    conditions = _read_conditions(text, lens)
    if not conditions:
        return None
    for index, comparison, figure in conditions:
        met &= _condition_holds(given, index, lens.features[index], comparison, figure)
    return met


def _read_conditions(text: str, lens: Lens) -> list[tuple[int, str, str]] | None:
    """Feature, comparison and figure of each condition; None where the text cannot be read."""
    if not text:
        return []
    for index, feature in sorted(enumerate(lens.features), key=lambda entry: -len(entry[1].label)):
        none_of = f"no {feature.label}"
        if feature.unit == "count" and (text == none_of or text.startswith(f"{none_of} and ")):
            rest = _read_conditions(text[len(none_of) :].removeprefix(" and "), lens)
            return None if rest is None else [(index, "≤", "0"), *rest]
        comparisons = ("is not", "is") if feature.encoding == "one_hot" else ("≤", ">")
        for comparison in comparisons:
            start = f"{feature.label} {comparison} "
            if not text.startswith(start):
                continue
            remaining = text[len(start) :]
            # A category may hold the word "and" itself: the first place where the rest can be read ends it.
            for end in [*(found.start() for found in re.finditer(" and ", remaining)), len(remaining)]:
                rest = _read_conditions(remaining[end:].removeprefix(" and "), lens)
                if rest is not None and _is_figure(remaining[:end], feature):
                    return [(index, comparison, remaining[:end]), *rest]
    return None


def _is_figure(text: str, feature: LensFeature) -> bool:
    if feature.order:
        return text in feature.order
    return feature.encoding == "one_hot" or _FIGURE.fullmatch(text) is not None


def _condition_holds(
    values: FeatureValues, index: int, feature: LensFeature, comparison: str, figure: str
) -> NDArray[np.bool_]:
    column = values.numbers[:, index]
    if feature.encoding == "one_hot":
        is_it = is_category(values, index, figure)
        return is_it if comparison == "is" else ~is_it & ~np.isnan(column)
    if feature.order:
        column, threshold = ordinal_places(values, index, feature.order), float(feature.order.index(figure))
    else:
        found = _FIGURE.fullmatch(figure)
        assert found is not None, "the text was read before"
        threshold = float(found[1]) / (100 if feature.unit == "share" else 1)
    met: NDArray[np.bool_] = column > threshold if comparison == ">" else column <= threshold
    return met


def _median(column: FloatArray) -> float:
    known = column[~np.isnan(column)]
    return float(np.median(known)) if len(known) else 0.0


def _f1(rule: Rule) -> float:
    total = rule.precision + rule.recall
    return 2 * rule.precision * rule.recall / total if total else 0.0
