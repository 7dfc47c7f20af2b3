from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import segmentation_job
from segmentation_job.segments import algorithms, encoding, lenses
from segmentation_job.segments.errors import LensError
from segmentation_job.segments.lenses import Lens, parse_lens

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
        ({"objective": "sell more"}, "objective is not a mapping", "give it the keys description"),
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
            "mend it",
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
        ({"features": [{**ORDERS, "missing": "unknown"}]}, "features[0].missing is said of one_hot", "take it out"),
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
    assert len(overall.features) <= 20
