from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segmentation_job.segments.encoding import FloatArray, encode, fit_encoding, missing_shares, quantise
from segmentation_job.segments.lenses import Lens, LensFeature, Objective

finite = st.floats(allow_nan=False, allow_infinity=False)
raw_value = st.floats(-1e9, 1e9) | st.just(float("nan"))


def _three_features() -> Lens:
    words: dict[str, Any] = {"family": "f", "high": "h", "low": "l", "label": "l", "unit": "count"}
    features = [("a", "log"), ("b", "log"), ("c", "as_is")]
    return Lens(
        name="three",
        title="Three",
        objective=Objective("none"),
        features=tuple(LensFeature("t", column, encoding, **words) for column, encoding in features),
        k_min=2,
        k_max=3,
        smallest_share=0.1,
        algorithms=("kmeans",),
        seed=1,
        noun="customers",
        actions=(),
        default_action="none",
    )


LENS = _three_features()


@given(arrays(np.float64, (3, 2), elements=finite), st.integers(1, 15))
def test_quantising_twice_is_quantising_once(values: FloatArray, digits: int) -> None:
    once = quantise(values, digits)
    assert np.array_equal(once, quantise(once, digits))


def test_quantising_keeps_nine_significant_digits_and_no_negative_zero() -> None:
    quantised = quantise(np.array([1234.567890123, 0.000123456789123, -0.0, 1 / 3]))
    assert quantised.tolist() == [1234.56789, 0.000123456789, 0.0, 0.333333333]
    assert not np.signbit(quantised[2])


def test_values_that_differ_in_the_last_bits_quantise_alike() -> None:
    assert quantise(np.array([0.1 + 0.2])) == quantise(np.array([0.3]))


def test_a_logarithm_is_hand_computed_and_keeps_the_sign(lens: Lens) -> None:
    values = np.array([[np.e - 1, -(np.e**2 - 1), 0.0], [0.0, 0.0, 1.0]])
    first, second, third = fit_encoding(values, lens).features
    assert first.fill == pytest.approx(0.5)
    assert second.fill == pytest.approx(-1.0)
    assert third.fill == pytest.approx(0.5)


def test_encoded_features_have_mean_zero_and_deviation_one(lens: Lens, shop: FloatArray) -> None:
    X = encode(shop, fit_encoding(shop, lens))
    assert X.mean(axis=0) == pytest.approx(np.zeros(3), abs=1e-8)
    assert X.std(axis=0) == pytest.approx(np.ones(3), abs=1e-8)


def test_a_missing_value_is_encoded_as_the_median(lens: Lens, shop: FloatArray) -> None:
    holes = shop.copy()
    holes[:7, 1] = np.nan
    encoding = fit_encoding(holes, lens)
    typical = shop[:1].copy()
    typical[0, 1] = np.expm1(np.median(np.log1p(shop[7:, 1])))
    absent = typical.copy()
    absent[0, 1] = np.nan
    assert encode(absent, encoding) == pytest.approx(encode(typical, encoding), abs=1e-7)


def test_a_value_beyond_the_winsor_bounds_counts_as_the_bound(lens: Lens, shop: FloatArray) -> None:
    encoding = fit_encoding(shop, lens)
    far, farther = shop[:1].copy(), shop[:1].copy()
    far[0, 1], farther[0, 1] = 1e4, 1e9
    assert np.array_equal(encode(far, encoding), encode(farther, encoding))
    (column,) = encoding.features[2].columns
    assert column.low == pytest.approx(np.quantile(shop[:, 2], 0.01))
    assert column.high == pytest.approx(np.quantile(shop[:, 2], 0.99))


@pytest.mark.parametrize("silent", [0.1, 0.0, -3e7, np.nan])
def test_a_constant_or_empty_feature_contributes_nothing_and_is_reported(
    lens: Lens, shop: FloatArray, silent: float
) -> None:
    values = shop.copy()
    values[:, 2] = silent
    encoding = fit_encoding(values, lens)
    assert encoding.idle_features == ("money.deal_share",)
    assert not encode(values, encoding)[:, 2].any()
    assert not encode(shop, encoding)[:, 2].any()


@pytest.mark.parametrize("infinite", [np.inf, -np.inf])
def test_an_infinite_value_is_refused_with_the_feature_s_name(lens: Lens, shop: FloatArray, infinite: float) -> None:
    values = shop.copy()
    values[3, 1] = infinite
    message = r"purchases\.basket_amount is infinite for 1 of 300 customers"
    with pytest.raises(ValueError, match=message):
        fit_encoding(values, lens)
    with pytest.raises(ValueError, match=message):
        encode(values, fit_encoding(shop, lens))


def test_values_of_another_shape_are_refused(lens: Lens, shop: FloatArray) -> None:
    with pytest.raises(ValueError, match=r"shape \(n, 3\), got \(300, 2\)"):
        fit_encoding(shop[:, :2], lens)
    with pytest.raises(ValueError, match="no customers"):
        fit_encoding(shop[:0], lens)


@given(arrays(np.float64, (12, 3), elements=raw_value))
def test_whatever_comes_in_finite_numbers_come_out_row_by_row(values: FloatArray) -> None:
    encoding = fit_encoding(values, LENS)
    whole = encode(values, encoding)
    assert np.isfinite(whole).all()
    assert np.array_equal(np.vstack([encode(row[None, :], encoding) for row in values]), whole)


def test_the_share_of_missing_values_is_by_feature(lens: Lens) -> None:
    values = np.array([[np.nan, 1.0, 0.1], [np.nan, np.nan, 0.2], [2.0, 3.0, 0.3], [2.0, 3.0, 0.4]])
    encoding = fit_encoding(values, lens)
    assert missing_shares(values, encoding).tolist() == [0.5, 0.25, 0.0]
    assert missing_shares(values[:0], encoding).tolist() == [0.0, 0.0, 0.0]
