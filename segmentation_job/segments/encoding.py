"""Raw feature values to comparable numbers: transform, impute, winsorise, standardise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segmentation_job.segments.lenses import Lens

FloatArray = NDArray[np.float64]

WINSOR_SHARE = 0.01
SIGNIFICANT_DIGITS = 9
# Relative to the size of the values: what is left of a constant after the rounding errors of a mean.
CONSTANT_TOLERANCE = 1e-9


@dataclass(frozen=True)
class FeatureEncoding:
    """What was learned about one feature, all in transformed units but for the name.

    column: "table.column" · encoding: name of the transformation · fill: median, stands in for a missing
    value · low, high: winsor bounds · mean, scale: of the filled and winsorised values · is_idle: constant
    or all null when fitted, contributes 0 for every customer.
    """

    column: str
    encoding: str
    fill: float
    low: float
    high: float
    mean: float
    scale: float
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


def missing_shares(values: FloatArray) -> FloatArray:
    """Share of missing values by feature.

    values: (n, d), NaN where missing. Returns (d,), 0 to 1; of no customers at all, 0.
    """
    if len(values) == 0:
        return np.zeros(values.shape[1])
    shares: FloatArray = np.isnan(values).mean(axis=0)
    return shares


def fit_encoding(values: FloatArray, lens: Lens) -> Encoding:
    """Learn median, winsor bounds (1% and 99%), mean and scale of every feature of the lens.

    values: (n, d) in the lens's feature order, NaN where missing. Raises ValueError where the shape is not
    the lens's, where there is no customer, and on infinite values.
    """
    columns = tuple(feature.name for feature in lens.features)
    _check(values, columns)
    if len(values) == 0:
        raise ValueError(f"lens {lens.name}: no customers to learn an encoding from")
    return Encoding(
        features=tuple(
            _fit_feature(values[:, index], feature.name, feature.encoding)
            for index, feature in enumerate(lens.features)
        )
    )


def encode(values: FloatArray, encoding: Encoding) -> FloatArray:
    """Encode raw values with what was learned before; a missing value becomes the fitting median.

    values: (n, d) in the encoding's order, NaN where missing. Returns (n, d), finite, each row depending on
    that row alone. Raises ValueError on another shape and on infinite values.
    """
    _check(values, encoding.columns)
    encoded = np.empty(values.shape, dtype=np.float64)
    for index, feature in enumerate(encoding.features):
        transformed = _TRANSFORMS[feature.encoding](values[:, index])
        filled = np.where(np.isnan(transformed), feature.fill, transformed)
        encoded[:, index] = (np.clip(filled, feature.low, feature.high) - feature.mean) / feature.scale
    return encoded


def _fit_feature(raw: FloatArray, column: str, encoding: str) -> FeatureEncoding:
    transformed = _TRANSFORMS[encoding](raw)
    known = transformed[~np.isnan(transformed)]
    if len(known) == 0:
        return FeatureEncoding(column, encoding, 0.0, 0.0, 0.0, 0.0, 1.0, is_idle=True)
    statistics = [np.median(known), *np.quantile(known, [WINSOR_SHARE, 1 - WINSOR_SHARE])]
    fill, low, high = (float(value) for value in quantise(np.array(statistics)))
    bounded = np.clip(np.where(np.isnan(transformed), fill, transformed), low, high)
    mean, scale = (float(value) for value in quantise(np.array([bounded.mean(), bounded.std()])))
    if scale <= CONSTANT_TOLERANCE * max(1.0, abs(mean)):
        # One bound for all, so that a later value cannot wake a feature that the model never saw vary.
        return FeatureEncoding(column, encoding, fill, fill, fill, fill, 1.0, is_idle=True)
    return FeatureEncoding(column, encoding, fill, low, high, mean, scale, is_idle=False)


def _check(values: FloatArray, columns: tuple[str, ...]) -> None:
    if values.ndim != 2 or values.shape[1] != len(columns):
        raise ValueError(f"expected values of shape (n, {len(columns)}), got {values.shape}")
    infinite = np.isinf(values).sum(axis=0)
    if infinite.any():
        index = int(infinite.argmax())
        raise ValueError(
            f"feature {columns[index]} is infinite for {int(infinite[index])} of {len(values)} customers: "
            f"mend the division that makes it, or give null"
        )


def _signed_log1p(raw: FloatArray) -> FloatArray:
    logs: FloatArray = np.sign(raw) * np.log1p(np.abs(raw))
    return logs


def _as_is(raw: FloatArray) -> FloatArray:
    return raw.astype(np.float64)


_TRANSFORMS: dict[str, Callable[[FloatArray], FloatArray]] = {"log": _signed_log1p, "as_is": _as_is}
