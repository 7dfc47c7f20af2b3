from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segmentation_job
from segmentation_job.segments.algorithms import IntArray
from segmentation_job.segments.encoding import FeatureValues, FloatArray, RawValues, encode, fit_encoding
from segmentation_job.segments.explanation import (
    SegmentText,
    Trait,
    _measures,
    _simplified,
    _words,
    name_segments,
    recommended_action,
    rule_holds,
    shallow_rule,
)
from segmentation_job.segments.lenses import Lens, parse_lens

GROUPS = np.repeat(np.arange(3), 100)
KEYS = ("k0", "k1", "k2")
FEATURE = {"encoding": "log", "family": "one", "label": "a figure", "unit": "amount"}
OVERALL_PATH = Path(segmentation_job.__file__).parent / "lenses" / "overall.yaml"
OVERALL = parse_lens(OVERALL_PATH.read_text(encoding="utf-8"), str(OVERALL_PATH))


def texts(
    values: RawValues,
    clusters: IntArray,
    lens: Lens,
    taken: dict[str, str] | None = None,
    keys: tuple[str, ...] = KEYS,
) -> list[SegmentText]:
    return name_segments(values, fit_encoding(values, lens), clusters, lens, taken or {}, keys)


def test_a_name_says_what_sets_the_segment_apart(shop: FloatArray, lens: Lens) -> None:
    names = [text.name for text in texts(shop, GROUPS, lens)]
    assert names == ["Frequent small-basket shoppers", "Rare big-basket shoppers", "Deal seekers"]


def test_a_description_compares_the_figures_with_everyone_s(shop: FloatArray, lens: Lens) -> None:
    description = texts(shop, GROUPS, lens)[2].description
    deals = f"{100 * np.median(shop[200:, 2]):.1f}%".replace(".0%", "%")
    everyone = f"{100 * np.median(shop[:, 2]):.1f}%".replace(".0%", "%")
    assert description == (
        f"These shoppers stand out by a far higher deals (typically {deals}, all customers {everyone})."
    )


def test_means_tell_the_difference_where_the_medians_are_equal(make_lens: Any) -> None:
    values = np.zeros((100, 3))
    values[:30, 0] = [3] * 12 + [0] * 18
    clusters = np.array([0] * 30 + [1] * 70)
    first, second = texts(values, clusters, make_lens(), keys=("a", "b"))
    assert "more orders (on average 1.2, all customers 0.4)" in first.description
    assert second.description == "These shoppers are close to the average of all customers in everything."
    assert second.name == "Typical shoppers"


def test_traits_are_the_differences_in_standard_deviations_the_strongest_first(shop: FloatArray, lens: Lens) -> None:
    X = encode(shop, fit_encoding(shop, lens))
    traits = texts(shop, GROUPS, lens)[0].traits
    assert [trait.direction for trait in traits if trait.column == "purchases.order_count"] == ["high"]
    assert [trait.direction for trait in traits if trait.column == "purchases.basket_amount"] == ["low"]
    sizes = [abs(trait.difference) for trait in traits]
    assert sizes == sorted(sizes, reverse=True)
    assert traits[0].difference == pytest.approx(
        {name: X[:100, i].mean() for i, name in enumerate(f.name for f in lens.features)}[traits[0].column],
        abs=1e-6,
    )


def test_a_segment_that_continues_keeps_its_name(shop: FloatArray, lens: Lens) -> None:
    named = texts(shop, GROUPS, lens, taken={"k1": "Our dear friends"})
    assert named[1].name == "Our dear friends"
    assert named[1].description == texts(shop, GROUPS, lens)[1].description


def test_a_name_of_the_past_is_not_given_again(shop: FloatArray, lens: Lens) -> None:
    taken = {"gone": "deal seekers", "gone too": "Frequent small-basket shoppers"}
    names = [text.name for text in texts(shop, GROUPS, lens, taken=taken)]
    assert names[0] == "Frequent small-basket full-price shoppers"
    assert names[2] == "Deal seekers, group two"


@given(st.integers(2, 30), st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_names_never_repeat_however_alike_the_segments_are(k: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    values = random.integers(0, 3, (120, 14)).astype(float)
    clusters = random.integers(0, k, 120)
    encoding = fit_encoding(values, OVERALL)
    keys = tuple(f"k{cluster}" for cluster in range(k))
    taken = {"k0": "Typical shoppers", "gone": "Lapsed shoppers"}
    named = [text.name.casefold() for text in name_segments(values, encoding, clusters, OVERALL, taken, keys)]
    assert len(set(named)) == k
    assert "lapsed shoppers" not in named


def test_one_family_is_named_once(make_lens: Any, shop: FloatArray) -> None:
    lens = make_lens()
    features = [
        {**FEATURE, "column": "purchases.order_count", "high": "frequent", "low": "rare"},
        {**FEATURE, "column": "purchases.basket_amount", "high": "big-basket", "low": "small-basket"},
        {**FEATURE, "column": "money.deal_share", "family": "deals", "high": "thrifty", "low": "generous"},
    ]
    for name in (text.name for text in texts(shop, GROUPS, make_lens(features=features, actions=[]))):
        assert not {"frequent", "rare"} & set(name.lower().split()) or "basket" not in name
    assert texts(shop, GROUPS, lens)[0].name == "Frequent small-basket shoppers"


def test_an_empty_word_is_left_unsaid_in_the_name_but_described(make_lens: Any, shop: FloatArray) -> None:
    features = [
        {**FEATURE, "column": "purchases.order_count", "family": "a", "high": "", "low": "rare"},
        {**FEATURE, "column": "purchases.basket_amount", "family": "b", "high": "big", "low": "small-basket"},
        {**FEATURE, "column": "money.deal_share", "family": "c", "high": "thrifty", "low": ""},
    ]
    first = texts(shop, GROUPS, make_lens(features=features, actions=[]))[0]
    assert first.name == "Small-basket shoppers"
    assert "purchases.order_count" in {trait.column for trait in first.traits}
    assert first.description.count("typically") == len(first.traits)


def test_what_the_name_says_is_in_the_description_before_stronger_differences(make_lens: Any) -> None:
    random = np.random.default_rng(6)
    clusters = np.repeat([0, 1], 100)
    strengths = {"a": 9.0, "b": 8.0, "c": 7.0, "d": 3.0}
    values = np.column_stack([10 + random.normal(strength * (clusters == 0), 2) for strength in strengths.values()])
    features = [
        {**FEATURE, "column": f"t.{name}", "family": name, "encoding": "as_is", "label": f"figure {name}"}
        | {"high": "daring" if name == "d" else "", "low": ""}
        for name in strengths
    ]
    first = texts(values, clusters, make_lens(features=features, actions=[]), keys=("x", "y"))[0]
    assert first.name == "Daring shoppers"
    assert [name for name in strengths if f"figure {name}" in first.description] == ["a", "b", "d"]


def test_a_segment_without_members_is_said_to_have_none(shop: FloatArray, lens: Lens) -> None:
    empty = texts(shop, GROUPS, lens, keys=(*KEYS, "k3"))[3]
    assert empty.description == "No shoppers belong here at present."


def test_a_rule_finds_a_segment_with_thresholds_in_real_units(lens: Lens) -> None:
    values = np.column_stack([np.arange(1, 101), np.full(100, 31.2), np.full(100, 0.5)]).astype(float)
    rule = shallow_rule(values, (values[:, 0] > 14).astype(np.int64), 1, lens)
    assert rule.text == "orders > 14"
    assert (rule.precision, rule.recall) == (1.0, 1.0)
    amounts = values[:, [1, 0, 2]] + 0.204
    below = shallow_rule(amounts, (amounts[:, 1] > 31.3).astype(np.int64), 0, lens)
    assert below.text == "order amount ≤ 31.70"
    shares = np.column_stack([values[:, 1], values[:, 1], values[:, 0] / 100])
    assert shallow_rule(shares, (shares[:, 2] > 0.35).astype(np.int64), 1, lens).text == "deals > 35.5%"


def test_a_rule_of_nothing_reads_as_no(lens: Lens) -> None:
    values = np.column_stack([np.repeat([0, 1, 2], 20), np.ones(60), np.ones(60)]).astype(float)
    assert shallow_rule(values, (values[:, 0] > 0).astype(np.int64), 0, lens).text == "no orders"


def test_a_rule_combines_conditions_and_its_figures_are_of_the_text(shop: FloatArray, lens: Lens) -> None:
    clusters = ((shop[:, 0] > 20) & (shop[:, 1] <= 10)).astype(np.int64)
    rule = shallow_rule(shop, clusters, 1, lens)
    amount = float(rule.text.split("order amount ≤ ")[1].split(" and ")[0])
    met = shop[:, 1] <= amount
    if "orders > " in rule.text:
        met &= shop[:, 0] > float(rule.text.split("orders > ")[1].split(" and ")[0])
    assert rule.precision == pytest.approx((met & (clusters == 1)).sum() / met.sum(), abs=1e-6)
    assert rule.recall == pytest.approx((met & (clusters == 1)).sum() / (clusters == 1).sum(), abs=1e-6)
    assert rule.precision > 0.9


def test_precision_is_of_those_who_meet_the_rule_and_recall_of_those_who_belong(lens: Lens) -> None:
    values = np.column_stack([np.repeat([1, 0], 50), np.ones(100), np.ones(100)]).astype(float)
    clusters = np.array([1] * 40 + [0] * 10 + [1] * 5 + [0] * 45)
    rule = shallow_rule(values, clusters, 1, lens)
    assert rule.text == "orders > 0"
    assert (rule.precision, rule.recall) == (0.8, round(40 / 45, 6))


def test_of_two_conditions_on_one_feature_the_narrower_is_said(lens: Lens) -> None:
    values = np.column_stack([np.arange(100), np.arange(100), np.ones(100)]).astype(float)
    path = [(0, True, 10.5), (1, False, 80.0), (0, True, 30.5), (1, False, 60.0)]
    measures = _measures(FeatureValues(values), lens)
    said = [(condition.index, condition.above, condition.threshold) for condition in _simplified(path, measures)]
    assert said == [(0, True, 30.0), (1, False, 60.0)]


def test_a_missing_value_meets_no_condition(lens: Lens) -> None:
    values = np.column_stack([np.arange(100), np.ones(100), np.ones(100)]).astype(float)
    clusters = (values[:, 0] >= 50).astype(np.int64)
    values[90:, 0] = np.nan
    rule = shallow_rule(values, clusters, 1, lens)
    assert rule.recall == pytest.approx(0.8)


def test_where_everyone_or_nobody_is_a_member_there_is_no_rule(shop: FloatArray, lens: Lens) -> None:
    for cluster in (0, 1):
        assert shallow_rule(shop, np.zeros(300, dtype=np.int64), cluster, lens).text == ""


@pytest.mark.parametrize(
    ("traits", "action"),
    [
        ([("money.deal_share", "high"), ("purchases.order_count", "high")], "Send deals."),
        ([("purchases.order_count", "high"), ("purchases.basket_amount", "high")], "Say thank you."),
        ([("purchases.order_count", "high")], "Say hello."),
        ([("money.deal_share", "low")], "Say hello."),
        ([], "Say hello."),
    ],
)
def test_the_first_action_whose_traits_are_all_there_is_recommended(
    lens: Lens, traits: list[tuple[str, str]], action: str
) -> None:
    present = [Trait(column, direction, 1.0) for column, direction in traits]
    assert recommended_action(present, lens) == action


def categories(*values: str | None) -> FeatureValues:
    """One text feature, and nothing in the others."""
    known = sorted({value for value in values if value is not None})
    numbers = np.zeros((len(values), 3))
    numbers[:, 0] = [np.nan if value is None else known.index(value) for value in values]
    return FeatureValues(numbers, {0: tuple(known)})


def lens_of(make_lens: Any, **changes: Any) -> Lens:
    """A lens whose first feature has categories."""
    region = {**FEATURE, "column": "t.region", "encoding": "one_hot", "label": "region", "unit": "category"}
    others = [
        {**FEATURE, "column": f"t.{name}", "family": name, "high": f"{name}-rich", "low": ""} for name in ("b", "c")
    ]
    first = {**region, "high": "{value}", "low": "", "missing": "unplaced", **changes}
    lens: Lens = make_lens(features=[first, *others], actions=[])
    return lens


def test_a_name_says_the_category_that_is_more_frequent(make_lens: Any) -> None:
    lens = lens_of(make_lens)
    values = categories(*["North"] * 90, *["South"] * 10, *["South"] * 90, *["North"] * 10, *[None] * 100)
    north, south, unknown = texts(values, GROUPS, lens)
    assert [text.name for text in (north, south, unknown)] == ["North shoppers", "South shoppers", "Unplaced shoppers"]
    # A third have each: (0.9 - 1/3) / sqrt(1/3 * 2/3).
    assert [(trait.direction, trait.category) for trait in north.traits] == [("high", "North")]
    assert north.traits[0].difference == pytest.approx((0.9 - 1 / 3) / np.sqrt(2 / 9), abs=1e-6)
    assert north.description == (
        "These shoppers stand out by a far higher share with region North (90%, all customers 33.3%)."
    )
    assert "a far higher share with no known region (100%, all customers 33.3%)" in unknown.description
    assert unknown.traits[0].direction == "missing"


def test_a_noun_may_hold_the_category(make_lens: Any) -> None:
    lens = lens_of(make_lens, high_noun="people of the {value}")
    values = categories(*["North"] * 100, *["South"] * 200)
    first, second = texts(values, np.repeat([0, 1], [100, 200]), lens, keys=("a", "b"))
    assert (first.name, second.name) == ("People of the North", "People of the South")


def test_names_by_category_stay_unique(make_lens: Any) -> None:
    lens = lens_of(make_lens)
    values = categories(*["North"] * 100, *["South"] * 200)
    first, second = texts(values, np.repeat([0, 1], [100, 200]), lens, {"gone": "north shoppers"}, ("a", "b"))
    assert (first.name, second.name) == ("North shoppers, group two", "South shoppers")


def test_an_ordinal_feature_is_told_in_its_own_words(make_lens: Any) -> None:
    lens = lens_of(make_lens, encoding="ordinal", order=["low", "middle", "high"], high="rich", low="poor", missing="")
    values = categories(*["high"] * 100, *["middle"] * 100, *["low"] * 100)
    rich, middle, poor = texts(values, GROUPS, lens)
    assert (rich.name, middle.name, poor.name) == ("Rich shoppers", "Typical shoppers", "Poor shoppers")
    assert "a far higher region (typically high, all customers middle)" in rich.description
    rule = shallow_rule(values, GROUPS, 2, lens)
    assert (rule.text, rule.precision, rule.recall) == ("region ≤ low", 1.0, 1.0)


def test_a_hurdle_is_said_once_by_its_stronger_side(make_lens: Any) -> None:
    lens = lens_of(make_lens, encoding="hurdle", unit="amount", high="giving", low="stingy", missing="")
    values = np.zeros((300, 3))
    values[:100, 0] = np.random.default_rng(1).uniform(50, 60, 100)
    first, second = texts(values, np.repeat([0, 1], [100, 200]), lens, keys=("a", "b"))
    assert [trait.direction for trait in first.traits] == ["high"]
    assert [trait.direction for trait in second.traits] == ["low"]
    assert (first.name, second.name) == ("Giving shoppers", "Stingy shoppers")


def test_a_rule_names_the_category_and_an_unknown_one_meets_no_condition(make_lens: Any) -> None:
    lens = lens_of(make_lens)
    values = categories(*["North"] * 100, *["South"] * 80, *["West"] * 60, *[None] * 60)
    rule = shallow_rule(values, np.repeat([1, 0], [100, 200]), 1, lens)
    assert (rule.text, rule.precision, rule.recall) == ("region is North", 1.0, 1.0)
    others = shallow_rule(values, np.repeat([0, 1], [100, 200]), 1, lens)
    assert others.text == "region is not North"
    assert (others.precision, others.recall) == (1.0, 0.7)


def never_buyers(make_lens: Any, share_known: float = 0.0, **changes: Any) -> tuple[FloatArray, Lens]:
    """Three groups, the last of which has no second figure, and little of the others."""
    random = np.random.default_rng(5)
    values = np.column_stack([random.normal(level, 1, 300) for level in (50, 50, 50)])
    values[:100, 0] += 8
    values[200:, 0] -= 20
    values[200:, 2] -= 20
    values[200 + int(100 * share_known) :, 1] = np.nan
    features = [
        {**FEATURE, "column": "t.a", "family": "a", "high": "busy", "low": "few-aisle", "label": "aisles"},
        {**FEATURE, "column": "t.b", "family": "b", "high": "lapsed", "low": "recent", "label": "time since an order"}
        | {"missing": "not-yet-buying", "missing_noun": "not-yet-buying visitors"}
        | changes,
        {**FEATURE, "column": "t.c", "family": "c", "high": "", "low": "poor", "label": "spend"},
    ]
    action = {"when": {"column": "t.b", "is": "missing"}, "action": "Welcome them."}
    return values, make_lens(features=features, actions=[action] if changes.get("missing", "x") else [])


def test_who_has_no_last_order_is_named_by_that_and_not_by_what_follows_from_it(make_lens: Any) -> None:
    values, lens = never_buyers(make_lens)
    texts_found = texts(values, GROUPS, lens)
    last = texts_found[2]
    assert last.name == "Not-yet-buying visitors"
    assert (last.traits[0].column, last.traits[0].direction) == ("t.b", "missing")
    # A third lack it, all of these do: (1 - 1/3) / sqrt(1/3 * 2/3).
    assert last.traits[0].difference == pytest.approx((2 / 3) / np.sqrt(2 / 9), abs=1e-6)
    assert "a far higher share with no known time since an order (100%, all customers 33.3%)" in last.description
    assert recommended_action(last.traits, lens) == "Welcome them."
    again = texts(values, GROUPS, lens, taken={"gone": "Not-yet-buying visitors"})[2].name
    assert again == "Poor not-yet-buying visitors"


def test_a_figure_that_most_of_a_segment_lack_is_not_told_by_what_stands_in_for_it(make_lens: Any) -> None:
    for share_known, says in ((0.1, True), (0.4, False)):
        values, lens = never_buyers(make_lens, share_known)
        values[:200, 1] = np.linspace(1, 99, 200) ** 3
        values[200:, 1] = np.where(np.isnan(values[200:, 1]), np.nan, 1.0)
        traits = {trait.column: trait.direction for trait in texts(values, GROUPS, lens)[2].traits}
        assert traits.get("t.b") == ("missing" if says else None)
    values, silent = never_buyers(make_lens, missing="", missing_noun="")
    assert "t.b" not in {trait.column for trait in texts(values, GROUPS, silent)[2].traits}


def test_what_a_family_weighs_changes_no_word_about_a_segment(make_lens: Any, shop: FloatArray, lens: Lens) -> None:
    weighed = make_lens(weights={"deals": 0, "basket": 5})
    assert texts(shop, GROUPS, weighed) == texts(shop, GROUPS, lens)


def test_a_printed_rule_holds_of_exactly_those_whom_its_figures_count(make_lens: Any) -> None:
    random = np.random.default_rng(2)
    numbers = np.column_stack([random.integers(0, 3, 400), random.poisson(2, 400), random.normal(40, 9, 400)])
    numbers = numbers.astype(float)
    numbers[:40, 2] = np.nan
    numbers[20:50, 0] = np.nan
    lens = lens_of(make_lens)
    named = [replace(lens.features[1], unit="count", label="orders and more"), replace(lens.features[2], label="no")]
    lens = replace(lens, features=(lens.features[0], *named))
    values = FeatureValues(numbers, {0: ("North", "South and West", "East")})
    checked = 0
    for target in (numbers[:, 0] == 1, numbers[:, 1] == 0, (numbers[:, 2] > 45) & (numbers[:, 0] != 1)):
        members = (target ^ (random.random(400) < 0.05)).astype(np.int64)
        for cluster in (0, 1):
            rule = shallow_rule(values, members, cluster, lens)
            met = rule_holds(rule.text, values, lens)
            assert met is not None, rule.text
            assert round(float((members[met] == cluster).mean()), 6) == rule.precision
            assert round(float(met[members == cluster].mean()), 6) == rule.recall
            checked += "South and West" in rule.text or "orders and more" in rule.text
    assert checked > 2


def test_a_rule_in_other_words_than_the_lens_has_cannot_be_checked(shop: FloatArray, lens: Lens) -> None:
    for text in ("", "orders placed > 3", "orders > many", "orders > 3 and", "orders > 3 or deals > 5%"):
        assert rule_holds(text, shop, lens) is None
    assert rule_holds("orders > 3 and deals > 5%", shop, lens) is not None


@pytest.mark.parametrize("name", ["demographic", "engagement", "financial", "overall", "purchase"])
def test_every_word_that_a_shipped_name_can_say_has_an_action_of_its_own(name: str) -> None:
    path = OVERALL_PATH.with_name(f"{name}.yaml")
    lens = parse_lens(path.read_text(encoding="utf-8"), str(path))
    said = [
        Trait(feature.name, direction, 1.0, "North")
        for feature in lens.features
        for direction in ("high", "low", "missing")
        if _words(Trait(feature.name, direction, 1.0, "North"), lens)[0]
    ]
    unanswered = [trait for trait in said if recommended_action([trait], lens) == lens.default_action]
    assert unanswered == []
