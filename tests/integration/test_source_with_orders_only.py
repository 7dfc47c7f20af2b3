"""The least that a source can have, customers and orders with an amount: it runs and says what is missing."""

import random
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from tests.support.nights import PROJECT_DIR, Finished, Nights

AS_OF = date(2024, 7, 1)
ABSENT = (
    "products", "order_events", "payments", "credit", "loyalty_events", "web_events", "feedback",
    "campaign_contacts", "market_indicators",
)  # fmt: skip
EMPTY_TABLES = {
    "credit_risk_bands",
    "payment_habits",
    "cart_abandonment",
    "engagement_funnel",
    "satisfaction",
    "market_trends",
    "competitor_position",
}
DECLARATION = """version: 2
sources:
  - name: landing
    description: Customers and what they paid.
    config:
      meta:
        external_location: >-
          read_csv('{{ env_var('SEGMENTATION_DATA_DIR', '../data') }}/orders_only/landing/{name}.csv',
          all_varchar = true)
    tables:
      - name: orders
        description: One row per order.
        config:
          loaded_at_field: placed_at
        columns:
          - {name: order_no, description: The order.}
          - {name: customer_no, description: Who ordered.}
          - {name: placed_at, description: When.}
          - {name: amount, description: What was paid.}
"""
MAPPINGS = {
    "customers": "with customers as (select distinct customer_no from {{ source('landing', 'orders') }})\n\n"
    "{{ map_to_contract('customers', {'customer_id': 'customer_no'}) }}\n",
    "orders": "{{ map_to_contract(source('landing', 'orders'),"
    " {'order_id': 'order_no', 'customer_id': 'customer_no', 'ordered_at': 'placed_at'}) }}\n",
    # One line per order: of one thing, at what was paid.
    "order_lines": "{{ map_to_contract(source('landing', 'orders'), {'order_id': 'order_no', 'line_id': \"'1'\","
    " 'product_id': \"'order'\", 'quantity': '1', 'net_amount': 'amount'}) }}\n",
}


def write_project(project: Path) -> None:
    """Copy the project and give it a source that has customers and orders only."""
    for folder in ("segmentation_job", "dbt_project", "expectations"):
        shutil.copytree(PROJECT_DIR / folder, project / folder, ignore=shutil.ignore_patterns("__pycache__", "target"))
    source = project / "dbt_project" / "sources" / "orders_only"
    source.mkdir()
    (source / "_orders_only__sources.yml").write_text(DECLARATION)
    for entity, mapping in MAPPINGS.items():
        (source / f"input_{entity}.sql").write_text(mapping)
    for entity in ABSENT:
        (source / f"input_{entity}.sql").write_text("{{ absent_entity() }}\n")


def write_orders(landing: Path) -> None:
    """Land the orders of eighty customers, some weekly and small, some monthly and large."""
    chance = random.Random(3)
    lines = ["order_no,customer_no,placed_at,amount"]
    for customer in range(80):
        gap, mean = (7, 20) if customer % 2 else (30, 120)
        moment = datetime(2023, 9, 1, 9, tzinfo=UTC) + timedelta(days=chance.randrange(40))
        while moment < datetime(2024, 7, 1, tzinfo=UTC):
            lines.append(
                f"o{len(lines)},c{customer:02d},{moment:%Y-%m-%d %H:%M:%S},{chance.uniform(0.5, 1.5) * mean:.2f}"
            )
            moment += timedelta(days=max(1, round(chance.gauss(gap, gap / 5))), minutes=chance.randrange(500))
    landing.mkdir(parents=True)
    (landing / "orders.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Nights, dict[str, Finished]]:
    place = tmp_path_factory.mktemp("orders_only")
    write_project(place / "project")
    settings = {"SOURCE": "orders_only", "SEGMENTATION_LENSES": "", "PYTHONPATH": str(place / "project")}
    nights = Nights(place / "data", settings)
    write_orders(nights.source_dir / "landing")
    return nights, nights.run(AS_OF)


def test_the_run_names_what_the_source_does_not_have(ran: tuple[Nights, dict[str, Finished]]) -> None:
    said = ran[1]["check"].output.lower()
    assert [entity for entity in ABSENT if entity not in said] == []
    assert "lens financial is skipped" in said
    assert "lens demographic is skipped" in said


def test_every_customer_is_segmented_and_tables_of_absent_families_are_empty(
    ran: tuple[Nights, dict[str, Finished]],
) -> None:
    with duckdb.connect(str(ran[0].serving_link), read_only=True) as published:
        labels = published.execute("select count(*) from customer_segments where lens = 'overall'").fetchall()
        tables = [name for (name,) in published.execute("select table_name from information_schema.tables").fetchall()]
        empty = {name for name in tables if published.execute(f"select 1 from {name} limit 1").fetchall() == []}
    assert labels == [(80,)]
    assert empty >= EMPTY_TABLES
    assert (
        empty & {"customer_360", "financial_summary", "seasonal_trends", "cohort_retention", "customer_forecasts"}
        == set()
    )
