"""Every planted row is wrong in the way that the truth says, and every other row is right."""

import pytest

from segmentation_job.landing.simulated_shop.columns import ENTITIES
from tests.unit.landing.simulated_shop.made_shop import MadeShop
from tests.unit.landing.simulated_shop.quarantine_rules import KNOWN_CUSTOMERS, REASONS, judged


def prepared(shop: MadeShop) -> MadeShop:
    shop.connection.execute(f"create or replace temp table known_customers as {KNOWN_CUSTOMERS}")
    orders = judged("orders", columns_of(shop, "orders"))
    shop.connection.execute(
        f"create or replace temp table good_orders as select * from ({orders}) where reason is null"
    )
    return shop


def columns_of(shop: MadeShop, entity: str) -> list[str]:
    return [str(row[0]) for row in shop.rows(f"describe {entity}")]


@pytest.mark.parametrize("entity", ENTITIES)
def test_the_rules_set_aside_exactly_the_planted_rows_each_for_its_reason(dirty_shop: MadeShop, entity: str) -> None:
    prepared(dirty_shop)
    query = judged(entity, columns_of(dirty_shop, entity))
    found = dirty_shop.rows(f"select reason, record_key from ({query}) where reason is not null order by all")
    planted = dirty_shop.rows(
        f"select reason, record_key from planted_dirt where entity = '{entity}' order by reason, record_key"
    )
    assert planted
    assert found == planted


@pytest.mark.parametrize("entity", ENTITIES)
def test_every_reason_that_typed_columns_can_express_is_planted(dirty_shop: MadeShop, entity: str) -> None:
    planted = {row[0] for row in dirty_shop.rows(f"select distinct reason from planted_dirt where entity = '{entity}'")}
    assert planted == {name.split()[0] for name in REASONS[entity]} | {"duplicate"}


@pytest.mark.parametrize("entity", ["orders", "order_lines", "web_events", "payments"])
def test_dirt_is_planted_at_the_stated_rate(dirty_shop: MadeShop, entity: str) -> None:
    planted = dirty_shop.value(f"select count(*) from planted_dirt where entity = '{entity}'")
    clean = dirty_shop.value(f"select count(*) from {entity}") - planted
    assert planted / clean == pytest.approx(dirty_shop.options.dirt_rate, rel=0.02)


@pytest.mark.parametrize("entity", ENTITIES)
def test_without_dirt_nothing_is_set_aside(clean_shop: MadeShop, entity: str) -> None:
    prepared(clean_shop)
    query = judged(entity, columns_of(clean_shop, entity))
    assert clean_shop.rows(f"select reason, record_key from ({query}) where reason is not null limit 5") == []
    assert clean_shop.value("select count(*) from planted_dirt") == 0


def test_no_clean_row_refers_to_an_order_customer_or_product_that_is_planted(dirty_shop: MadeShop) -> None:
    for column in ("order_id", "customer_id", "product_id"):
        for entity in ENTITIES:
            if column in columns_of(dirty_shop, entity):
                names_planted = f"regexp_matches(coalesce({column}, ''), '^[a-z]+[xz]')"
                query = judged(entity, columns_of(prepared(dirty_shop), entity))
                assert dirty_shop.value(f"select count(*) from ({query}) where reason is null and {names_planted}") == 0
