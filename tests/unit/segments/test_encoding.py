from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segmentation_job.segments.encoding import (
    ABOVE_ZERO,
    CATEGORY,
    MISSING,
    ZERO,
    FeatureValues,
    FloatArray,
    encode,
    fit_encoding,
    idle_feature_warnings,
    missing_shares,
    quantise,
)
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


def _of_one(encoding: str, order: tuple[str, ...] = ()) -> Lens:
    words: dict[str, Any] = {"family": "f", "high": "h", "low": "", "label": "l", "unit": "category"}
    return replace(LENS, features=(LensFeature("t", "a", encoding, order=order, **words),))


def _texts(*values: str | None) -> FeatureValues:
    """One text feature; the codes run against the alphabet, so that nothing can lean on them."""
    known = sorted({value for value in values if value is not None}, reverse=True)
    codes = [np.nan if value is None else float(known.index(value)) for value in values]
    return FeatureValues(np.array(codes)[:, None], {0: tuple(known)})


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


def test_a_one_hot_block_is_hand_computed_and_has_the_variance_of_one_number() -> None:
    values = _texts(*["north"] * 5, *["south"] * 3, *[None] * 2)
    encoding = fit_encoding(values, _of_one("one_hot"))
    (feature,) = encoding.features
    assert [(column.part, column.category) for column in feature.columns] == [
        (CATEGORY, "north"),
        (CATEGORY, "south"),
        (MISSING, ""),
    ]
    # Shares 0.5, 0.3 and 0.2 have variances 0.25, 0.21 and 0.16, in all 0.62.
    X = encode(values, encoding)
    assert X[0] == pytest.approx(np.array([0.5, -0.3, -0.2]) / np.sqrt(0.62))
    assert X[-1] == pytest.approx(np.array([-0.5, -0.3, 0.8]) / np.sqrt(0.62))
    assert X.var(axis=0).sum() == pytest.approx(1)


def test_categories_get_a_column_from_one_in_a_hundred_on_and_at_most_twelve_do() -> None:
    values = _texts(*["common"] * 98, "rare", None)
    (feature,) = fit_encoding(values, _of_one("one_hot")).features
    assert [column.category or column.part for column in feature.columns] == ["common", "rare", MISSING]
    values = _texts(*["common"] * 198, "rare", None)
    (feature,) = fit_encoding(values, _of_one("one_hot")).features
    assert [column.category for column in feature.columns] == ["common"]
    values = _texts(*[f"city {number:02}" for number in range(20) for _ in range(5)])
    (feature,) = fit_encoding(values, _of_one("one_hot")).features
    assert [column.category for column in feature.columns] == [f"city {number:02}" for number in range(12)]


def test_a_category_that_was_not_there_at_the_fit_is_none_of_those_that_were() -> None:
    values = _texts(*["north"] * 5, *["south"] * 5)
    encoding = fit_encoding(values, _of_one("one_hot"))
    unseen = encode(_texts("west", None), encoding)
    assert unseen == pytest.approx(np.full((2, 2), -0.5 / np.sqrt(0.5)))


def test_the_codes_of_categories_mean_nothing() -> None:
    values = _texts(*["north"] * 5, *["south"] * 3, *[None] * 2)
    other = FeatureValues(np.array([[1.0]] * 5 + [[0.0]] * 3 + [[np.nan]] * 2), {0: ("south", "north", "nowhere")})
    for lens in (_of_one("one_hot"), _of_one("ordinal", ("south", "north"))):
        encoding = fit_encoding(values, lens)
        assert fit_encoding(other, lens) == encoding
        assert np.array_equal(encode(other, encoding), encode(values, encoding))


def test_an_ordinal_value_is_its_place_and_one_out_of_order_is_missing() -> None:
    values = _texts("low", "low", "middle", "high", "high", "enormous", None)
    encoding = fit_encoding(values, _of_one("ordinal", ("low", "middle", "high")))
    X = encode(values, encoding)[:, 0]
    # The places 0, 0, 1, 2, 2 have the median 1, which stands in for the last two: mean 1, variance 4 / 7.
    assert X.tolist() == pytest.approx((np.array([-1, -1, 0, 1, 1, 0, 0]) / np.sqrt(4 / 7)).tolist())
    assert missing_shares(values, encoding).tolist() == [pytest.approx(2 / 7)]


def test_a_hurdle_tells_nothing_from_something_and_something_by_its_log() -> None:
    lens = replace(LENS, features=(replace(LENS.features[0], encoding="hurdle"),))
    values = np.array([[0.0]] * 4 + [[np.e - 1]] * 2 + [[np.e**3 - 1]] * 2)
    encoding = fit_encoding(values, lens)
    zero, above = encoding.features[0].columns
    assert (zero.part, above.part) == (ZERO, ABOVE_ZERO)
    assert (zero.mean, above.mean, above.scale) == pytest.approx((0.5, 2.0, 1.0))
    X = encode(values, encoding)
    assert X[[0, 4, 6]] == pytest.approx(np.array([[1, 0], [-1, -1], [-1, 1]]) * np.sqrt(0.5))
    # Below nothing is nothing; unknown says nothing, at the fit or later.
    assert encode(np.array([[-3.0], [np.nan]]), encoding) == pytest.approx(np.vstack([X[0], [0, 0]]))
    assert fit_encoding(np.vstack([values, [[np.nan]]]), lens) == encoding


@pytest.mark.parametrize("silent", [0.0, 2.5, np.nan])
def test_a_hurdle_that_is_the_same_for_all_is_idle(silent: float) -> None:
    lens = replace(LENS, features=(replace(LENS.features[0], encoding="hurdle"),))
    encoding = fit_encoding(np.full((50, 1), silent), lens)
    assert encoding.idle_features == ("t.a",)
    assert not encode(np.array([[0.0], [7.0], [np.nan]]), encoding).any()


def test_a_hurdle_that_nobody_is_short_of_weighs_as_its_log_alone() -> None:
    lens = replace(LENS, features=(replace(LENS.features[0], encoding="hurdle"),))
    values = np.array([[1.0], [3.0], [9.0]] * 40)
    X = encode(values, fit_encoding(values, lens))
    assert X.shape == (120, 1)
    assert X.var() == pytest.approx(1)


@pytest.mark.parametrize("encoding", ["one_hot", "ordinal"])
def test_a_category_that_all_or_none_have_is_idle(encoding: str) -> None:
    for values in (_texts(*["north"] * 300), _texts(*[None] * 300)):
        fitted = fit_encoding(values, _of_one(encoding, ("north", "south") if encoding == "ordinal" else ()))
        assert fitted.idle_features == ("t.a",)
        assert not encode(values, fitted).any()
        assert not encode(_texts("south", "north", None), fitted).any()


def test_a_category_that_was_read_as_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match=r"feature t\.a was read as a number, but its encoding is of a text"):
        fit_encoding(np.ones((3, 1)), _of_one("one_hot"))
    with pytest.raises(ValueError, match=r"feature t\.a was read as a text, but its encoding is of a number"):
        fit_encoding(_texts("a", "b"), replace(LENS, features=LENS.features[:1]))


def test_a_weight_multiplies_the_squared_distance_in_each_feature_of_the_family(
    make_lens: Any, lens: Lens, shop: FloatArray
) -> None:
    plain = encode(shop, fit_encoding(shop, lens))
    weighed = encode(shop, fit_encoding(shop, make_lens(weights={"deals": 3, "basket": 0})))
    between = (plain[:50] - plain[50:100]) ** 2
    assert np.allclose((weighed[:50] - weighed[50:100]) ** 2, between * [1, 0, 3])


def test_a_weight_reaches_every_column_of_a_category_and_of_a_hurdle(make_lens: Any) -> None:
    hurdle = {"column": "t.a", "encoding": "hurdle", "family": "a", "high": "a", "low": "", "label": "a"}
    features = [
        {**hurdle, "unit": "count"},
        {**hurdle, "column": "t.b", "encoding": "one_hot", "family": "b", "unit": "category"},
    ]
    values = FeatureValues(
        np.column_stack([np.arange(60) % 4, np.arange(60) % 3]).astype(float), {1: ("north", "south", "west")}
    )
    plain, weighed = (
        fit_encoding(values, make_lens(features=features, actions=[], **more)) for more in ({}, {"weights": {"b": 4}})
    )
    ratios = [
        [new.weight / old.weight for old, new in zip(before.columns, after.columns, strict=True)]
        for before, after in zip(plain.features, weighed.features, strict=True)
    ]
    assert ratios == [[1, 1], pytest.approx([2, 2, 2])]


def test_an_idle_feature_is_warned_of_with_file_key_and_remedy(make_lens: Any) -> None:
    number = {"encoding": "log", "family": "a", "high": "", "low": "", "label": "a", "unit": "count"}
    text = {**number, "unit": "category"}
    features = [
        {**number, "column": "t.varies"},
        {**number, "column": "t.empty"},
        {**number, "column": "t.constant"},
        {**text, "column": "t.band", "encoding": "ordinal", "order": ["low", "high"]},
        {**text, "column": "t.place", "encoding": "one_hot"},
    ]
    lens = make_lens(features=features, actions=[])
    numbers = np.column_stack([np.arange(50), [np.nan] * 50, [7.0] * 49 + [np.nan], [0.0] * 50, [0.0] * 50])
    values = FeatureValues(numbers, {3: ("niedrig",), 4: ("north",)})
    assert idle_feature_warnings(lens, fit_encoding(values, lens), values) == [
        "lenses/shop.yaml: features[1].column t.empty is empty for all of the 50 customers fitted on, and has no"
        " effect; map what it is made from in the source, or take the feature out of the lens",
        "lenses/shop.yaml: features[2].column t.constant is the same for all, or nearly all, of the 50 customers fitted"
        " on for whom it is known (49), and has no effect; let the source tell customers apart by it, or take the"
        " feature out of the lens",
        "lenses/shop.yaml: features[3].column t.band has no value of its order for any of the 50 customers fitted on"
        " (they have niedrig), and has no effect; write features[3].order in the source's own words, or take the"
        " feature out of the lens",
        "lenses/shop.yaml: features[4].column t.place is the same for all, or nearly all, of the 50 customers fitted"
        " on, and has no effect; let the source tell customers apart by it, or take the feature out of the lens",
    ]
