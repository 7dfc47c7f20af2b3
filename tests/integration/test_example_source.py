"""The example of one's own data: what its dirt becomes, features reckoned by hand, and a copy under a new name.

All figures are as of 2024-07-01; every date of the files lies before it.
"""

import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.support.example_shop import AS_OF, example_night
from tests.support.nights import PROJECT_DIR, Nights

# Every dirty line of the demonstration files, and no other.
QUARANTINE = {
    ("customers", "customer_missing", "~|~"),
    ("customers", "duplicate", "C05|~"),
    ("customers", "value_unreadable", "C02|~"),  # born on 29 February 1990
    ("orders", "customer_missing", "O903|~"),
    ("orders", "customer_unknown", "O900|C99"),
    ("orders", "date_impossible", "O902|C03"),  # year 9999
    ("orders", "date_impossible", "O905|C03"),  # year 24
    ("orders", "date_missing", "O904|C03"),
    ("orders", "duplicate", "O010|C07"),
    ("orders", "value_unreadable", "O901|C03"),  # 31 February
    ("order_lines", "amount_missing", "O012|90|P4"),
    ("order_lines", "amount_negative", "O013|90|P4"),
    ("order_lines", "amounts_disagree", "O009|90|P4"),  # 4.20 less 1.00 is not 4.20
    ("order_lines", "duplicate", "O001|1|P1"),
    ("order_lines", "line_missing", "O014|~|P4"),
    ("order_lines", "order_unknown", "O900|1|P4"),  # its order was set aside
    ("order_lines", "order_unknown", "O999|1|P4"),
    ("order_lines", "product_missing", "O007|90|~"),
    ("order_lines", "product_unknown", "O006|90|P99"),
    ("order_lines", "quantity_not_a_count", "O004|90|P4"),  # 1.5 units
    ("order_lines", "quantity_not_a_count", "O008|90|P2"),  # 5,000 units for 40.00: grams
    ("order_lines", "quantity_not_positive", "O002|90|P4"),
    ("order_lines", "quantity_not_positive", "O003|90|P4"),
    ("order_lines", "value_unreadable", "O005|90|P4"),  # "two" units
}

# C01 joined on 3 January, 180 days before: six 30-day windows. Two orders: 10 April (82 days ago, a Wednesday)
# 2 × P1 19.00 + 3 × P6 7.20 less 0.20 = 26.00; 11 June (20 days ago, a Tuesday) 1 × P3 6.50, the own brand.
# Volatility over the windows 6.50, 0, 26.00, 0, 0, 0: sqrt(6 × (42.25 + 676) − 32.5²) / 32.5 = 57.0373 / 32.5.
C01 = {
    "spend_amount": Decimal("32.50"),
    "spend_amount_30d": Decimal("6.50"),
    "spend_amount_90d": Decimal("32.50"),
    "gross_amount": Decimal("32.70"),
    "discount_amount": Decimal("0.20"),
    "discount_share": 0.006116,  # 0.20 / 32.70
    "average_order_amount": Decimal("16.25"),
    "largest_order_amount": Decimal("26.00"),
    "spend_volatility": 1.754993,
    "spend_trend_90d": 1.0,  # nothing in the 90 days before
    "order_count": 2,
    "order_count_30d": 1,
    "order_count_90d": 2,
    "item_count": 6,
    "line_count": 3,
    "product_count": 3,
    "category_count": 2,
    "recency_days": 20,
    "items_per_order": 3.0,
    "favourite_category": "Coffee",
    "favourite_category_share": 0.784615,  # (19.00 + 6.50) / 32.50
    "private_label_share": 0.2,  # 6.50 / 32.50
    "discounted_line_share": 0.333333,
    "interpurchase_days_mean": 62.0,
    "interpurchase_days_cv": None,  # one gap only
    "weekend_order_share": 0.0,
    "tenure_days": 180,
    "active_window_share": 0.333333,  # two of six
    "is_repeat_customer": True,
    "age_years": 39,  # 39 on the very day
    "age_band": "35-44",
    "gender": "female",
    "city": "Lyon",
}

# C24 joined on 27 May, 35 days before: two windows begun. One P3 for 6.50 on 28 May, 8, 19 and 30 June, the second a
# Saturday, the last a Sunday. Windows 19.50 and 6.50: sqrt(2 × (380.25 + 42.25) − 26²) / 26 = 13 / 26.
C24 = {
    "spend_amount": Decimal("26.00"),
    "spend_amount_30d": Decimal("19.50"),
    "spend_volatility": 0.5,
    "order_count": 4,
    "recency_days": 1,
    "favourite_category_share": 1.0,
    "private_label_share": 1.0,
    "interpurchase_days_mean": 11.0,
    "interpurchase_days_cv": 0.0,
    "weekend_order_share": 0.5,
    "active_window_share": 1.0,
    "age_years": 27,
}

# The row of C02 was set aside for its birthday: nothing is known of the person, the orders count all the same.
C02 = {
    "age_years": None,
    "gender": None,
    "has_demographics": False,
    "order_count": 26,
    "spend_amount": Decimal("247.00"),
}


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Nights:
    return example_night(tmp_path_factory)


def served(nights: Nights, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(nights.data_dir / "serving" / "segments.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def warehouse_rows(nights: Nights, sql: str) -> list[tuple[Any, ...]]:
    path = nights.data_dir / nights.settings["SOURCE"] / "warehouse.duckdb"
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_every_dirty_line_of_the_files_is_in_quarantine_with_its_reason_and_no_clean_one(example: Nights) -> None:
    found = warehouse_rows(example, "select entity, reason, record_key from staging.quarantine")
    assert len(found) == len(QUARANTINE)
    assert set(found) == QUARANTINE


def test_every_line_of_the_files_is_accounted_for(example: Nights) -> None:
    accounts = warehouse_rows(
        example, "select entity, sum(row_count) from intermediate.int_row_accounts group by entity"
    )
    lines = {
        path.stem: len(path.read_text().splitlines()) - 1
        for path in (example.data_dir / "example_csv" / "landing").glob("*.csv")
    }
    assert {entity: int(rows) for entity, rows in accounts} == lines


@pytest.mark.parametrize(("customer", "reckoned"), [("C01", C01), ("C24", C24), ("C02", C02)])
def test_the_features_are_those_reckoned_by_hand(example: Nights, customer: str, reckoned: dict[str, Any]) -> None:
    columns = list(reckoned)
    (found,) = served(example, f"select {', '.join(columns)} from customer_360 where customer_id = '{customer}'")
    assert dict(zip(columns, found, strict=True)) == reckoned


def test_every_customer_has_one_segment_and_no_segment_is_a_person_or_two(example: Nights) -> None:
    sizes = served(
        example, "select segment_name, count(*), count(distinct customer_id) from customer_segments group by 1"
    )
    assert sum(customers for _, customers, _ in sizes) == 24
    assert len(sizes) >= 2
    assert all(labels == customers >= 3 for _, labels, customers in sizes)


def test_a_copy_under_a_new_name_with_two_columns_renamed_runs_to_published_segments(
    example: Nights, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    for folder in ("segmentation_job", "dbt_project", "expectations"):
        shutil.copytree(PROJECT_DIR / folder, project / folder, ignore=shutil.ignore_patterns("__pycache__", "target"))
    sources = project / "dbt_project" / "sources"
    shutil.copytree(sources / "example_csv", sources / "my_shop")
    declaration = sources / "my_shop" / "_my_shop__sources.yml"
    (sources / "my_shop" / "_example_csv__sources.yml").rename(declaration)
    text = declaration.read_text().replace("example_csv/landing", "my_shop/landing")
    declaration.write_text(text.replace("name: customer_no", "name: client").replace("name: units", "name: pieces"))
    for name, old, new in (
        ("input_customers.sql", "'customer_no'", "'client'"),
        ("input_orders.sql", "'customer_no'", "'client'"),
        ("input_order_lines.sql", "'units'", "'pieces'"),
    ):
        mapping = sources / "my_shop" / name
        assert old in mapping.read_text()
        mapping.write_text(mapping.read_text().replace(old, new))
    shutil.rmtree(sources / "my_shop" / "demonstration")

    nights = Nights(tmp_path / "data", {"SOURCE": "my_shop", "PYTHONPATH": str(project)})
    landing = tmp_path / "data" / "my_shop" / "landing"
    shutil.copytree(example.data_dir / "example_csv" / "landing", landing)
    for path in landing.glob("*.csv"):
        head, rest = path.read_text().split("\n", 1)
        path.write_text(head.replace("customer_no", "client").replace("units", "pieces") + "\n" + rest)

    nights.run(AS_OF)

    same = "select customer_id, segment_name from customer_segments order by all"
    assert served(nights, same) == served(example, same)
