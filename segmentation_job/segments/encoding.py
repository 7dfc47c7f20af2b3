"""Raw feature values to comparable numbers: transform, impute, winsorise, standardise; categories to columns.

| encoding | columns | a missing value |
|---|---|---|
| `as_is`, `log` | the value, or sign(x) log(1 + abs(x)) | the fitting median |
| `ordinal` | the place in the lens's order; a value that is not in it is missing | the fitting median |
| `hurdle` | whether it is zero (or below), and the log of what is above | each column's mean, which says nothing |
| `one_hot` | whether it is each of the frequent categories | a column of its own where frequent, else all zero |

A feature weighs the same whatever its encoding: the variances of its columns, over those it was fitted on, add up to 1
(of a hurdle at most 1: who has nothing is at the mean of what others have), times the weight that the lens gives to
its family.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segmentation_job.segments.lenses import Lens, LensFeature

FloatArray = NDArray[np.float64]

WINSOR_SHARE = 0.01
SIGNIFICANT_DIGITS = 9
# Relative to the size of the values: what is left of a constant after the rounding errors of a mean.
CONSTANT_TOLERANCE = 1e-9
# Categories that get a column: as many, each with at least this share of the customers fitted on. One that all but
# this share have says as little as one that nobody has.
MOST_CATEGORIES = 12
FREQUENT_SHARE = 0.01

# What of its feature an encoded column holds.
VALUE = "value"
ZERO = "zero"
ABOVE_ZERO = "above zero"
CATEGORY = "category"
MISSING = "missing"


@dataclass(frozen=True)
class FeatureValues:
    """Raw features of n customers: numbers and texts side by side.

    numbers: (n, d) in the lens's feature order, NaN where missing; of a text feature the place of its value in its
    texts · texts: by index of a text feature, the values that occur; their order means nothing.
    """

    numbers: FloatArray
    texts: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.numbers)

    def customers(self, chosen: NDArray[Any]) -> FeatureValues:
        """The same features of some of the customers. chosen: (n,) true or false, or their indices."""
        return FeatureValues(self.numbers[chosen], self.texts)


RawValues = FloatArray | FeatureValues
"""A plain (n, d) array is of features that are all numbers."""


def feature_values(values: RawValues) -> FeatureValues:
    """The values as FeatureValues, whichever way they came."""
    return values if isinstance(values, FeatureValues) else FeatureValues(values)


@dataclass(frozen=True)
class EncodedColumn:
    """One column of the encoded matrix: (value within low and high − mean) / scale × weight.

    part: VALUE; ZERO or ABOVE_ZERO of a hurdle; CATEGORY or MISSING of a one_hot feature · category: of a CATEGORY,
    else empty · low, high: winsor bounds · mean, scale: of those it was fitted on, within the bounds · weight:
    the square root of the column's part in its feature's variance (1 where the feature has one column) times the
    weight of the feature's family.
    """

    part: str
    category: str
    low: float
    high: float
    mean: float
    scale: float
    weight: float


@dataclass(frozen=True)
class FeatureEncoding:
    """What was learned about one feature.

    column: "table.column" · encoding: name of the encoding · order: of an ordinal feature · fill: of as_is, log and
    ordinal the median in transformed units, stands in for a missing value · columns: of the encoded matrix ·
    is_idle: constant or all null when fitted; its one column is 0 for every customer.
    """

    column: str
    encoding: str
    order: tuple[str, ...]
    fill: float
    columns: tuple[EncodedColumn, ...]
    is_idle: bool


@dataclass(frozen=True)
class Encoding:
    """The encodings of a lens's features, in the lens's order."""

    features: tuple[FeatureEncoding, ...]

    @property
    def idle_features(self) -> tuple[str, ...]:
        """Features that say nothing, being constant or all null in the customers fitted on."""
        return tuple(feature.column for feature in self.features if feature.is_idle)

    @property
    def columns(self) -> tuple[str, ...]:
        """The features' names, "table.column"."""
        return tuple(feature.column for feature in self.features)

    @property
    def text_columns(self) -> frozenset[str]:
        """The features whose values are texts."""
        return frozenset(feature.column for feature in self.features if feature.encoding in ("one_hot", "ordinal"))

    @property
    def width(self) -> int:
        """The number of encoded columns."""
        return sum(len(feature.columns) for feature in self.features)


def quantise(array: FloatArray, digits: int = SIGNIFICANT_DIGITS) -> FloatArray:
    """Round to a number of significant decimal digits, so that equal results have equal hashes.

    array: any shape, NaN and inf pass through · digits: at least 1. Negative zero becomes zero.
    """
    if digits < 1:
        raise ValueError(f"digits must be at least 1, got {digits}")
    values = np.asarray(array, dtype=np.float64)
    # Through decimal text: scaling by powers of ten is itself inexact and would not be idempotent.
    flat = [float(f"{value:.{digits - 1}e}") for value in values.ravel()]
    return np.array(flat, dtype=np.float64).reshape(values.shape) + 0.0


def missing_values(values: RawValues, encoding: Encoding) -> NDArray[np.bool_]:
    """Which values are missing (n, d): null, or of an ordinal feature none of its order."""
    given = feature_values(values)
    missing = np.isnan(given.numbers)
    for index, feature in enumerate(encoding.features):
        if feature.encoding == "ordinal":
            missing[:, index] = np.isnan(ordinal_places(given, index, feature.order))
    return missing


def missing_shares(values: RawValues, encoding: Encoding) -> FloatArray:
    """Share of missing values by feature.

    values: (n, d), NaN where missing. Returns (d,), 0 to 1; of no customers at all, 0.
    """
    missing = missing_values(values, encoding)
    if len(missing) == 0:
        return np.zeros(missing.shape[1])
    shares: FloatArray = missing.mean(axis=0)
    return shares


def idle_feature_warnings(lens: Lens, encoding: Encoding, values: RawValues) -> list[str]:
    """A sentence for each feature that says nothing of the customers fitted on: file, key, what is wrong, remedy.

    lens: as read from its file · encoding: learned from the values · values: (n, d) raw, in the lens's feature order.
    """
    given = feature_values(values)
    missing = missing_values(given, encoding)
    warnings = []
    for index, (feature, learned) in enumerate(zip(lens.features, encoding.features, strict=True)):
        if not learned.is_idle:
            continue
        key = f"{lens.origin or f'lens {lens.name}'}: features[{index}].column {feature.name}"
        customers = f"the {len(given):,} customers fitted on"
        known = int((~missing[:, index]).sum())
        if np.isnan(given.numbers[:, index]).all():
            wrong, remedy = f"is empty for all of {customers}", "map what it is made from in the source"
        elif known == 0:
            some = ", ".join(sorted(given.texts[index])[:3])
            wrong = f"has no value of its order for any of {customers} (they have {some})"
            remedy = f"write features[{index}].order in the source's own words"
        else:
            of = "" if known == len(given) else f" for whom it is known ({known:,})"
            wrong = f"is the same for all, or nearly all, of {customers}{of}"
            remedy = "let the source tell customers apart by it"
        warnings.append(f"{key} {wrong}, and has no effect; {remedy}, or take the feature out of the lens")
    return warnings


def frequent_categories(values: FeatureValues, index: int) -> tuple[str, ...]:
    """The categories of a text feature that are worth a column, the most frequent first, ties by name.

    At most 12, each of at least 1% and at most 99% of the customers.
    """
    codes = values.numbers[:, index]
    found = np.bincount(codes[~np.isnan(codes)].astype(np.int64), minlength=len(values.texts[index]))
    counts: Counter[str] = Counter()
    for text, count in zip(values.texts[index], found.tolist(), strict=True):
        counts[text] += count
    frequent = [text for text, count in counts.items() if _is_telling(count / len(values))]
    return tuple(sorted(frequent, key=lambda text: (-counts[text], text))[:MOST_CATEGORIES])


def is_category(values: FeatureValues, index: int, category: str) -> NDArray[np.bool_]:
    """Of which customers a text feature has this value (n,)."""
    wanted = np.array([text == category for text in values.texts[index]], dtype=bool)
    codes = values.numbers[:, index]
    known = ~np.isnan(codes)
    chosen = np.zeros(len(values), dtype=bool)
    chosen[known] = wanted[codes[known].astype(np.int64)]
    return chosen


def ordinal_places(values: FeatureValues, index: int, order: tuple[str, ...]) -> FloatArray:
    """The place of each customer's value in an order, from 0 (n,); NaN where it is missing or not in it."""
    place = {text: float(position) for position, text in enumerate(order)}
    places = np.array([place.get(text, np.nan) for text in values.texts[index]], dtype=np.float64)
    codes = values.numbers[:, index]
    known = ~np.isnan(codes)
    found = np.full(len(values), np.nan)
    found[known] = places[codes[known].astype(np.int64)]
    return found


def fit_encoding(values: RawValues, lens: Lens) -> Encoding:
    """Learn medians, winsor bounds (1% and 99%), means, scales and frequent categories of the lens's features.

    values: (n, d) in the lens's feature order, NaN where missing. Raises ValueError where the shape is not
    the lens's, where there is no customer, on infinite values, and where a category was read as a number.
    """
    given = feature_values(values)
    _check(given, tuple(feature.name for feature in lens.features), lens.text_columns())
    if len(given) == 0:
        raise ValueError(f"lens {lens.name}: no customers to learn an encoding from")
    learned = (
        _fit_categories(given, index, feature)
        if feature.encoding == "one_hot"
        else _fit_number(_transformed(given, index, feature.encoding, feature.order), feature)
        for index, feature in enumerate(lens.features)
    )
    return Encoding(
        features=tuple(
            _times(encoding, lens.weight(feature.family))
            for encoding, feature in zip(learned, lens.features, strict=True)
        )
    )


def encode(values: RawValues, encoding: Encoding) -> FloatArray:
    """Encode raw values with what was learned before.

    values: (n, d) in the encoding's order, NaN where missing. Returns (n, width), finite, each row depending on
    that row alone. Raises ValueError on another shape, on infinite values, and where a category was read as a number.
    """
    given = feature_values(values)
    _check(given, encoding.columns, encoding.text_columns)
    encoded = np.empty((len(given), encoding.width), dtype=np.float64)
    place = 0
    for index, feature in enumerate(encoding.features):
        filled = None
        if feature.encoding != "one_hot":
            filled = _transformed(given, index, feature.encoding, feature.order)
            if feature.encoding != "hurdle":
                filled = np.where(np.isnan(filled), feature.fill, filled)
        for column in feature.columns:
            part = _category_part(given, index, column) if filled is None else _number_part(filled, column)
            encoded[:, place] = (np.clip(part, column.low, column.high) - column.mean) / column.scale * column.weight
            place += 1
    return encoded


def _fit_number(transformed: FloatArray, feature: LensFeature) -> FeatureEncoding:
    known = transformed[~np.isnan(transformed)]
    if len(known) == 0:
        return _idle(feature, 0.0)
    fill = float(quantise(np.array([np.median(known)]))[0])
    if feature.encoding == "hurdle":
        # Who has no such thing at all (no order, so no returns) is nobody's median: unknown says nothing here.
        fill = 0.0
        above = known[known > 0]
        columns = [_indicator(ZERO, "", float((known <= 0).mean()))]
        columns += [_standardised(ABOVE_ZERO, above, above)] if len(above) else []
    else:
        columns = [_standardised(VALUE, known, np.where(np.isnan(transformed), fill, transformed))]
    live = [column for column in columns if column is not None]
    if not live:
        return _idle(feature, fill)
    weight = _root(1 / len(live))
    return FeatureEncoding(
        feature.name, feature.encoding, feature.order, fill, tuple(_weighed(column, weight) for column in live), False
    )


def _fit_categories(values: FeatureValues, index: int, feature: LensFeature) -> FeatureEncoding:
    shares = {
        (CATEGORY, category): float(is_category(values, index, category).mean())
        for category in frequent_categories(values, index)
    }
    missing = float(np.isnan(values.numbers[:, index]).mean())
    if _is_telling(missing):
        shares[MISSING, ""] = missing
    variance = sum(share * (1 - share) for share in shares.values())
    columns = [
        _weighed(column, _root(share * (1 - share) / variance))
        for (part, category), share in shares.items()
        if (column := _indicator(part, category, share)) is not None
    ]
    if not columns:
        return _idle(feature, 0.0)
    return FeatureEncoding(feature.name, feature.encoding, feature.order, 0.0, tuple(columns), False)


def _standardised(part: str, known: FloatArray, filled: FloatArray) -> EncodedColumn | None:
    """A column of numbers with mean 0 and deviation 1 within its winsor bounds; None where they are constant."""
    low, high = (float(value) for value in quantise(np.quantile(known, [WINSOR_SHARE, 1 - WINSOR_SHARE])))
    bounded = np.clip(filled, low, high)
    mean, scale = (float(value) for value in quantise(np.array([bounded.mean(), bounded.std()])))
    if scale <= CONSTANT_TOLERANCE * max(1.0, abs(mean)):
        return None
    return EncodedColumn(part, "", low, high, mean, scale, 1.0)


def _indicator(part: str, category: str, share: float) -> EncodedColumn | None:
    """A column of zeros and ones with mean 0 and deviation 1; None where nearly all are the same."""
    if not _is_telling(share):
        return None
    mean, scale = (float(value) for value in quantise(np.array([share, np.sqrt(share * (1 - share))])))
    return EncodedColumn(part, category, 0.0, 1.0, mean, scale, 1.0)


def _idle(feature: LensFeature, fill: float) -> FeatureEncoding:
    # One bound for all, so that a later value cannot wake a feature that the model never saw vary.
    silent = EncodedColumn(VALUE if feature.encoding != "one_hot" else MISSING, "", fill, fill, fill, 1.0, 1.0)
    return FeatureEncoding(feature.name, feature.encoding, feature.order, fill, (silent,), is_idle=True)


def _times(feature: FeatureEncoding, family_weight: float) -> FeatureEncoding:
    """The encoding of a feature whose squared distances count so many times."""
    if family_weight == 1.0 or feature.is_idle:
        return feature
    columns = tuple(_weighed(column, _root(column.weight**2 * family_weight)) for column in feature.columns)
    return replace(feature, columns=columns)


def _weighed(column: EncodedColumn, weight: float) -> EncodedColumn:
    return replace(column, weight=weight)


def _root(share: float) -> float:
    return float(quantise(np.array([np.sqrt(share)]))[0])


def _is_telling(share: float) -> bool:
    return FREQUENT_SHARE <= share <= 1 - FREQUENT_SHARE


def _number_part(filled: FloatArray, column: EncodedColumn) -> FloatArray:
    if column.part == ZERO:
        return np.where(np.isnan(filled), column.mean, filled <= 0)
    if column.part == ABOVE_ZERO:
        return np.where(filled > 0, filled, column.mean)
    return np.where(np.isnan(filled), column.mean, filled)


def _category_part(values: FeatureValues, index: int, column: EncodedColumn) -> FloatArray:
    if column.part == MISSING:
        return np.isnan(values.numbers[:, index]).astype(np.float64)
    return is_category(values, index, column.category).astype(np.float64)


def _check(values: FeatureValues, columns: tuple[str, ...], text_columns: frozenset[str]) -> None:
    numbers = values.numbers
    if numbers.ndim != 2 or numbers.shape[1] != len(columns):
        raise ValueError(f"expected values of shape (n, {len(columns)}), got {numbers.shape}")
    for index, column in enumerate(columns):
        if (column in text_columns) != (index in values.texts):
            read, wanted = ("text", "number") if index in values.texts else ("number", "text")
            raise ValueError(f"feature {column} was read as a {read}, but its encoding is of a {wanted}")
    infinite = np.isinf(numbers).sum(axis=0)
    if infinite.any():
        index = int(infinite.argmax())
        raise ValueError(
            f"feature {columns[index]} is infinite for {int(infinite[index])} of {len(numbers)} customers: "
            f"mend the division that makes it, or give null"
        )


def _transformed(values: FeatureValues, index: int, encoding: str, order: tuple[str, ...]) -> FloatArray:
    if encoding == "ordinal":
        return ordinal_places(values, index, order)
    return _TRANSFORMS[encoding](values.numbers[:, index])


def signed_log1p(raw: FloatArray) -> FloatArray:
    """The logarithm of one more than the size, with the sign (n,): what is returned may exceed what was bought."""
    logs: FloatArray = np.sign(raw) * np.log1p(np.abs(raw))
    return logs


def _as_is(raw: FloatArray) -> FloatArray:
    return raw.astype(np.float64)


_TRANSFORMS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "log": signed_log1p,
    "as_is": _as_is,
    "hurdle": signed_log1p,
}
