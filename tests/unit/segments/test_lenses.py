from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import segmentation_job
from segmentation_job.segments import algorithms, encoding, lenses
from segmentation_job.segments.errors import LensError
from segmentation_job.segments.lenses import DEFAULT_OUTCOMES, Lens, Outcome, parse_lens, require_known_features

ORDERS = {
    "column": "purchases.order_count",
    "encoding": "log",
    "family": "frequency",
    "high": "frequent",
    "low": "rare",
    "label": "orders",
    "unit": "count",
}
REGION = {**ORDERS, "column": "places.region", "encoding": "one_hot", "high": "{value}", "low": "", "unit": "category"}


@pytest.mark.parametrize(
    ("changes", "key", "remedy"),
    [
        ({"colour": "red"}, "colour is unknown", "use one of"),
        ({"noun": None}, "noun is missing", "add it"),
        ({"name": "store"}, "name is 'store' but the file is 'shop'", "rename the file to store.yaml"),
        ({"k_min": 1}, "k_min 1 is not a whole number of at least 2", "write 2 or more"),
        ({"k_min": "four"}, "k_min 'four'", "write 2 or more"),
        ({"k_max": True}, "k_max True", "write 2 or more"),
        ({"k_min": 6}, "k_max 5 is below k_min 6", "at least k_min"),
        (
            {"smallest_share": 0.34},
            "smallest_share 3 segments (k_min)",
            "lower smallest_share to 0.333 or less",
        ),
        ({"smallest_share": 2}, "smallest_share 2 is not between 0 and 1", "write 0.02"),
        ({"algorithms": ["astrology"]}, "algorithms[0] 'astrology' is unknown", "use one of kmeans"),
        ({"algorithms": []}, "algorithms is not a list with entries", "at least one"),
        ({"algorithms": ["kmeans", "kmeans"]}, "algorithms algorithm 'kmeans' appears 2 times", "keep one"),
        ({"features": [ORDERS, ORDERS]}, "features feature 'purchases.order_count' appears 2", "keep one"),
        (
            {"features": [{**ORDERS, "encoding": "runes"}]},
            "features[0].encoding 'runes'",
            "log, as_is, hurdle, one_hot, ordinal",
        ),
        ({"features": [{**ORDERS, "unit": "cubits"}]}, "features[0].unit 'cubits'", "use one of amount"),
        (
            {"features": [{**ORDERS, "column": "order_count"}]},
            "features[0].column 'order_count'",
            "name both",
        ),
        ({"features": [{**ORDERS, "weight": 2}]}, "features[0].weight is unknown", "use one of"),
        ({"features": [{**ORDERS, "high": 3}]}, "features[0].high is not a text but 3", "quote it"),
        ({"objective": "sell more"}, "objective is not a mapping", "give it the keys description, outcomes"),
        (
            {"actions": [{"when": {"column": "a.b", "is": "high"}, "action": "Act."}]},
            "actions[0].when[0].column 'a.b' is unknown",
            "use one of purchases.order_count",
        ),
        (
            {"actions": [{"when": {"column": "money.deal_share", "is": "odd"}, "action": "Act."}]},
            "actions[0].when[0].is 'odd' is unknown",
            "use one of high, low, missing",
        ),
        (
            {"actions": [{"when": {"column": "money.deal_share", "is": "missing"}, "action": "Act."}]},
            "actions[0].when[0].is 'missing' never holds",
            "give that feature a word",
        ),
        ({"enabled": "no"}, "enabled is not true or false but 'no'", "write true or false"),
        ({"needs": "orders"}, "needs is not a list", "at least one entry"),
        ({"needs_any": ["credit", "credit"]}, "needs_any entry 'credit' appears 2 times", "keep one"),
        ({"features": [{**ORDERS, "unit": "category"}]}, "features[0].unit 'category' does not go with", "use amount"),
        ({"features": [{**REGION, "unit": "count"}]}, "features[0].unit 'count' does not go with", "use category"),
        ({"features": [{**REGION, "encoding": "ordinal"}]}, "features[0].order is for", "the lowest first"),
        ({"features": [{**REGION, "order": ["a", "b"]}]}, "features[0].order is for encoding ordinal alone", "take it"),
        (
            {"features": [{**REGION, "encoding": "ordinal", "order": ["a"]}]},
            "features[0].order has one value",
            "at least two",
        ),
        ({"features": [{**REGION, "low": "far"}]}, "features[0].low is never said of a one_hot", "leave it empty"),
        (
            {"features": [{**ORDERS, "missing_noun": "visitors"}]},
            "features[0].missing_noun is never said without missing",
            "give missing too",
        ),
        ({"weights": {"basket": -0.5}}, "weights.basket -0.5 is below zero", "write 0 to leave the family out"),
        ({"weights": {"baskets": 2}}, "weights.baskets is of a family that no feature has", "use basket, or take it"),
        ({"weights": {"basket": "much"}}, "weights.basket 'much' is not a number", "write 1 for the usual weight"),
        ({"weights": {"basket": float("nan")}}, "weights.basket nan is not a number", "write 1"),
        ({"weights": {"basket": 0, "frequency": 0, "deals": 0}}, "weights are zero for every family", "a weight"),
        ({"weights": [2]}, "weights is not a mapping", "give a number to some of basket, deals, frequency"),
        (
            {"objective": {"description": "x", "outcomes": [{"column": "money.spend_30d", "measure": "log"}]}},
            "objective.outcomes[0].column money.spend_30d is not of the 90 days",
            "ends in _90d",
        ),
        (
            {"objective": {"description": "x", "outcomes": [{"column": "money.spend_90d", "measure": "root"}]}},
            "objective.outcomes[0].measure 'root' is unknown",
            "use one of log, as_is, any",
        ),
        ({"objective": {"description": "x", "outcomes": []}}, "objective.outcomes is not a list", "at least one"),
        ({"features": [{**ORDERS, "high": "{value}"}]}, "features[0].high has no {value}", "with one_hot alone"),
        (
            {"features": [{**REGION, "column": "demographic_features.ethnicity"}]},
            "features use demographic_features.ethnicity, which is sensitive",
            "allows_sensitive: true",
        ),
        (
            {"features": [REGION], "sensitive": ["places.region"]},
            "features use places.region, which is sensitive",
            "take it out",
        ),
        (
            {"features": [{**REGION, "column": "demographic_features.gender"}], "allows_sensitive": True},
            "sensitive does not name demographic_features.gender",
            "add it",
        ),
    ],
)
def test_a_wrong_lens_is_refused_with_file_key_and_remedy(
    lens_text: Any, changes: dict[str, object], key: str, remedy: str
) -> None:
    with pytest.raises(LensError) as refusal:
        parse_lens(lens_text(**changes), "lenses/shop.yaml")
    message = str(refusal.value)
    assert message.startswith("lenses/shop.yaml: ")
    assert key in message
    assert remedy in message


@pytest.mark.parametrize("text", ["features: [", "", "- a list"])
def test_a_text_that_is_no_lens_at_all_is_refused_by_file(text: str) -> None:
    with pytest.raises(LensError, match=r"^lenses/shop\.yaml: "):
        parse_lens(text, "lenses/shop.yaml")


def test_the_version_is_of_the_content_and_not_of_the_layout(lens_text: Any, lens: Lens, make_lens: Any) -> None:
    shuffled = yaml.safe_dump(yaml.safe_load(lens_text()), sort_keys=False, default_flow_style=True)
    assert parse_lens("# a comment\n" + shuffled, "elsewhere/shop.yaml").version == lens.version
    assert make_lens(k_max=6).version != lens.version
    assert make_lens(default_action="Say goodbye.").version != lens.version


def test_where_a_lens_runs_is_no_part_of_its_version(lens: Lens, make_lens: Any) -> None:
    elsewhere = make_lens(enabled=False, needs=["orders"], needs_any=["credit"], allows_sensitive=True)
    assert elsewhere.version == lens.version
    assert (elsewhere.enabled, elsewhere.needs, elsewhere.needs_any) == (False, ("orders",), ("credit",))


def test_a_lens_may_use_what_is_sensitive_where_it_says_so(make_lens: Any) -> None:
    gender = {**REGION, "column": "demographic_features.gender"}
    lens = make_lens(features=[gender], actions=[], sensitive=[gender["column"]], allows_sensitive=True)
    assert lens.text_columns() == {"demographic_features.gender"}


def test_columns_are_listed_by_table_in_the_order_of_the_lens(lens: Lens) -> None:
    assert lens.columns_by_table() == {"purchases": ["order_count", "basket_amount"], "money": ["deal_share"]}


def test_every_encoding_and_algorithm_that_a_lens_may_name_exists() -> None:
    assert set(lenses.NUMBER_ENCODINGS) == set(encoding._TRANSFORMS)
    assert set(lenses.ALGORITHM_NAMES) == set(algorithms.ALGORITHMS)


def test_the_shipped_lenses_are_valid_and_can_speak() -> None:
    folder = Path(segmentation_job.__file__).parent / "lenses"
    shipped = {path.stem: parse_lens(path.read_text(encoding="utf-8"), str(path)) for path in folder.glob("*.yaml")}
    assert set(shipped) == {"overall", "demographic", "financial", "purchase", "engagement", "cultural"}
    assert [name for name, lens in shipped.items() if not lens.enabled] == ["cultural"]
    assert [name for name, lens in shipped.items() if lens.allows_sensitive] == ["cultural"]
    for lens in shipped.values():
        assert len({(feature.family, feature.high) for feature in lens.features if feature.high}) > 2
        assert not any(feature.high_noun and not feature.high for feature in lens.features)
        assert not any(feature.low_noun and not feature.low for feature in lens.features)


def test_the_overall_lens_keeps_its_bounds() -> None:
    path = Path(segmentation_job.__file__).parent / "lenses" / "overall.yaml"
    overall = parse_lens(path.read_text(encoding="utf-8"), str(path))
    assert 3 <= overall.k_min <= overall.k_max <= 12
    assert overall.smallest_share >= 0.01
    assert len(overall.features) == 14


def test_a_lens_is_judged_by_revenue_and_activity_unless_its_file_names_something_else(make_lens: Any) -> None:
    assert make_lens().objective.outcomes == DEFAULT_OUTCOMES
    assert [(outcome.name, outcome.measure) for outcome in DEFAULT_OUTCOMES] == [
        ("financial_features.spend_amount_90d", "log"),
        ("purchase_features.order_count_90d", "any"),
    ]
    own = {"description": "sell more", "outcomes": [{"column": "web.session_count_90d", "measure": "any"}]}
    assert make_lens(objective=own).objective.outcomes == (Outcome("web", "session_count_90d", "any"),)


def test_the_version_changes_with_what_is_computed_alone(lens: Lens, make_lens: Any) -> None:
    default = [{"column": outcome.name, "measure": outcome.measure} for outcome in DEFAULT_OUTCOMES]
    same = make_lens(
        title="Another title",
        objective={"description": "in other words", "outcomes": default},
        weights={"deals": 1, "basket": 1.0},
    )
    assert same.version == lens.version
    changed = [
        make_lens(weights={"deals": 2}),
        make_lens(objective={"description": "sell more", "outcomes": default[:1]}),
        make_lens(features=[{**ORDERS, "missing": "new"}], actions=[]),
        make_lens(features=[ORDERS], actions=[]),
    ]
    assert len({lens.version, *(other.version for other in changed)}) == 5
    assert make_lens(weights={"deals": 2, "basket": 1}).version == make_lens(weights={"deals": 2}).version


def test_a_lens_knows_its_file_and_the_weights_of_its_families(make_lens: Any) -> None:
    lens = make_lens(weights={"deals": 2.5})
    assert lens.origin == "lenses/shop.yaml"
    assert [lens.weight(family) for family in ("deals", "basket")] == [2.5, 1.0]


CONTRACT = {
    "purchases": {"order_count": "bigint", "basket_amount": "decimal(18, 2)", "first_date": "date"},
    "money": {"deal_share": "double", "spend_90d": "double", "method": "string"},
}


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        (
            {"column": "purchases.order_counts"},
            "features[0].column purchases.order_counts does not exist: purchases has no such feature;"
            " use purchases.order_count",
        ),
        (
            {"column": "purchase.order_count"},
            "features[0].column purchase.order_count is in no feature table: there is no purchase;"
            " use purchases.order_count",
        ),
        ({"column": "mony.shoe_size"}, "there is no mony; use money"),
        ({"column": "purchases.deal_share"}, "purchases has no such feature; use money.deal_share"),
        ({"column": "money.method"}, "money.method is a text, and encoding log is of numbers; use one_hot or ordinal"),
        ({"column": "purchases.first_date"}, "purchases.first_date is a date; use a feature that is a number or"),
        (
            {"column": "money.deal_share", "encoding": "one_hot", "unit": "category", "low": ""},
            "money.deal_share is a number with decimals, and encoding one_hot is of categories; use log, as_is",
        ),
    ],
)
def test_a_feature_that_is_not_in_the_tables_or_of_another_type_is_refused(
    make_lens: Any, feature: dict[str, str], message: str
) -> None:
    outcomes = [{"column": "money.spend_90d", "measure": "log"}]
    objective = {"description": "x", "outcomes": outcomes}
    lens = make_lens(features=[{**ORDERS, **feature}], actions=[], objective=objective)
    with pytest.raises(LensError) as refusal:
        require_known_features(lens, CONTRACT)
    assert str(refusal.value).startswith("lenses/shop.yaml: features[0].column ")
    assert message in str(refusal.value)
    require_known_features(make_lens(objective=objective), CONTRACT)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("money.spent_90d", "money.spent_90d does not exist: money has no such feature; use money.spend_90d"),
        ("cash.spend_90d", "there is no cash; use money.spend_90d"),
    ],
)
def test_an_outcome_that_is_not_in_the_tables_is_refused(make_lens: Any, column: str, message: str) -> None:
    lens = make_lens(objective={"description": "x", "outcomes": [{"column": column, "measure": "log"}]})
    with pytest.raises(LensError) as refusal:
        require_known_features(lens, CONTRACT)
    assert str(refusal.value).startswith("lenses/shop.yaml: objective.outcomes[0].column ")
    assert message in str(refusal.value)
