"""Facts follow the days that changed, rows are accounted for, and nothing of the future counts."""

import json
import os
import re
import shutil
import signal
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from tests.conftest import FIRST_NIGHT, CopyNights
from tests.support.landing_slice import cut_landing, edit_landing, landing_of
from tests.support.nights import Nights
from tests.support.rows import Rows, differences, published_rows, schema_rows

LATE_DAY = date(2017, 3, 10)
EMPTIED_DAY = date(2017, 5, 20)
UNTOUCHED_DAY = date(2017, 7, 1)
# What changed since the build before, and the view of it.
OF_ONE_BUILD = {
    "int_changed_days",
    "int_changed_event_days",
    "int_customer_web_events",
    "int_touched_order_event_days",
}

# The mapping's rules, said once more and straight on the raw files; the first that fits is the reason.
REASONS = """
select
    case
        when product_id not in (select product_id from '{landing}/products.parquet') then 'product_unknown'
        when quantity <= 0 then 'quantity_not_positive'
        when round(sales_value + retail_disc + coupon_match_disc, 2) > 0
            and round(sales_value + retail_disc + coupon_match_disc, 2) < quantity * 0.01 then 'quantity_not_a_count'
    end as reason,
    count(*) as lines,
    count(*) filter (where transaction_timestamp >= timestamp '{day}') as later_lines
from '{landing}/transactions.parquet'
group by reason
"""


def facts_of(nights: Nights) -> Rows:
    """Return the rows of the intermediate layer but for what says how the last build went."""
    return schema_rows(nights.warehouse, "intermediate", leave_out=OF_ONE_BUILD)


def changed_days(nights: Nights) -> set[date]:
    return {day for (day,) in nights.query("select order_date from intermediate.int_changed_days")}


def largest_order_of(nights: Nights, day: date) -> Decimal:
    ((amount,),) = nights.query(
        "select max(largest_order_amount) from intermediate.int_customer_days where order_date = ?", [day]
    )
    return Decimal(amount)


@pytest.fixture(scope="module")
def edited(first_night: Nights, copy_nights: CopyNights) -> Nights:
    """A night's data folder whose landing then got a line for an old day and lost every line of another day."""
    nights = copy_nights(first_night, "edited")
    edit_landing(
        nights.data_dir,
        "transactions",
        f"select * from landed where cast(transaction_timestamp as date) != '{EMPTIED_DAY}' union all"
        " (select * replace (basket_id + 10000000000 as basket_id, sales_value + 1 as sales_value) from landed"
        f" where cast(transaction_timestamp as date) = '{LATE_DAY}' and quantity = 1 order by all limit 1)",
    )
    return nights


@pytest.fixture(scope="module")
def built_anew(edited: Nights, tmp_path_factory: pytest.TempPathFactory) -> Nights:
    """The edited landing in a fresh data folder, its facts built in one go."""
    place = tmp_path_factory.mktemp("built_anew") / "data"
    shutil.copytree(landing_of(edited.data_dir), landing_of(place))
    nights = Nights(place)
    nights.run(FIRST_NIGHT, last="build_facts")
    return nights


def test_only_the_days_that_changed_are_built_again_and_the_facts_equal_a_full_build(
    edited: Nights, built_anew: Nights, copy_nights: CopyNights
) -> None:
    nights = copy_nights(edited, "incremental")
    # A mark that only a build of its day wipes out, in the one column that no test of the build adds up.
    mark = (
        "update intermediate.int_customer_days set largest_order_amount = largest_order_amount {} where order_date in"
        " ('{}', '{}')"
    )
    nights.change(mark.format("+ 1000000", LATE_DAY, UNTOUCHED_DAY))

    nights.run(FIRST_NIGHT, first="build_facts", last="build_facts")

    assert changed_days(nights) == {LATE_DAY, EMPTIED_DAY}
    assert largest_order_of(nights, UNTOUCHED_DAY) > 1_000_000
    nights.change(mark.format("- 1000000", UNTOUCHED_DAY, UNTOUCHED_DAY))
    assert nights.query("select 1 from intermediate.int_customer_days where order_date = ?", [EMPTIED_DAY]) == []
    assert differences(facts_of(nights), facts_of(built_anew)) == {}


def test_facts_whose_build_was_killed_are_built_again(
    edited: Nights, built_anew: Nights, copy_nights: CopyNights
) -> None:
    nights = copy_nights(edited, "killed_build")
    with nights.start("build", "facts", "--as-of", str(FIRST_NIGHT)) as builder:
        assert builder.stdout is not None
        said = ""
        while "OK created sql incremental model intermediate.int_customer_days" not in said:
            line = builder.stdout.readline()
            assert line, said
            said += line
        os.killpg(builder.pid, signal.SIGKILL)
        # dbt is a child of the command: its end closes the output.
        builder.stdout.read()
    nights.wait_until_free()
    assert differences(facts_of(nights), facts_of(built_anew)) != {}

    finished = nights.run(FIRST_NIGHT, first="build_facts", last="build_facts")

    assert "they stay as they are" not in finished["build_facts"].output
    assert differences(facts_of(nights), facts_of(built_anew)) == {}


def test_a_landing_that_did_not_change_leaves_the_facts_alone(first_night: Nights, copy_nights: CopyNights) -> None:
    nights = copy_nights(first_night, "unchanged")
    built = schema_rows(nights.warehouse, "intermediate")
    finished = nights.run(FIRST_NIGHT, first="build_facts", last="build_facts")
    assert "they stay as they are" in finished["build_facts"].output
    assert schema_rows(nights.warehouse, "intermediate") == built


def test_what_is_computed_for_a_date_is_the_same_without_the_rows_that_came_later(
    first_night: Nights, copy_nights: CopyNights, sliced_landing: Path
) -> None:
    nights = copy_nights(Nights(sliced_landing), "cut")
    cut_landing(nights.data_dir, FIRST_NIGHT)
    for table in ("transactions", "coupon_redemptions"):
        assert rows_in(landing_of(nights.data_dir), table) < rows_in(landing_of(sliced_landing), table)
    nights.run(FIRST_NIGHT)

    promoted, promoted_then = (schema_rows(each.warehouse, "promoted") for each in (first_night, nights))
    assert len(promoted["purchase_features"]) > 400
    assert len(promoted["labels"]) > 200
    assert differences(promoted, promoted_then) == {}
    assert differences(published_rows(first_night.serving_link), published_rows(nights.serving_link)) == {}


def rows_in(landing: Path, table: str) -> int:
    with duckdb.connect() as connection:
        counted = connection.execute(f"select count(*) from '{landing}/{table}.parquet'").fetchone()
    assert counted is not None
    return int(counted[0])


@pytest.fixture(scope="module")
def logged_rows(first_night: Nights) -> dict[str, dict]:
    """What the run log says of the rows of each entity."""
    lines = [json.loads(line) for line in (first_night.source_dir / "run_log.jsonl").read_text().splitlines()]
    built = [line for line in lines if line["step"] == "build_features" and line["event"] == "ended"]
    rows: dict[str, dict] = built[-1]["details"]["rows"]
    return rows


def test_every_raw_line_is_kept_set_aside_for_a_reason_or_out_of_scope(
    first_night: Nights, logged_rows: dict[str, dict]
) -> None:
    landing = landing_of(first_night.data_dir)
    with duckdb.connect() as connection:
        counted = connection.execute(REASONS.format(landing=landing, day=FIRST_NIGHT)).fetchall()
    reasons = {reason: lines for reason, lines, _ in counted if reason is not None}
    ((good, later),) = [(lines, later) for reason, lines, later in counted if reason is None]
    assert min(reasons.values()) > 100
    assert set(reasons) == {"product_unknown", "quantity_not_positive", "quantity_not_a_count"}
    assert logged_rows["order_lines"] == {
        "in": rows_in(landing, "transactions"),
        "kept": good - later,
        "out_of_scope": later,
        "quarantined": reasons,
    }


def test_the_rows_of_every_entity_add_up(logged_rows: dict[str, dict]) -> None:
    assert {"customers", "products", "orders", "order_lines", "campaign_contacts"} <= logged_rows.keys()
    for entity, rows in logged_rows.items():
        assert rows["in"] == rows["kept"] + sum(rows["quarantined"].values()) + rows["out_of_scope"], entity
        assert rows["in"] > 0, entity


def test_the_quarantine_holds_each_row_that_was_set_aside(first_night: Nights, logged_rows: dict[str, dict]) -> None:
    held = {
        (entity, reason): count
        for entity, reason, count in first_night.query(
            "select entity, reason, count(*) from staging.quarantine group by entity, reason"
        )
    }
    logged = {
        (entity, reason): count for entity, rows in logged_rows.items() for reason, count in rows["quarantined"].items()
    }
    assert held == logged
    assert held


def test_the_run_prints_the_account_of_the_rows(first_night: Nights, logged_rows: dict[str, dict]) -> None:
    printed = (first_night.data_dir / "printed" / "build_features.txt").read_text()
    for entity, rows in logged_rows.items():
        (line,) = [line for line in printed.splitlines() if re.match(rf"  {entity} ", line)]
        account, _, reasons = line.partition("(")
        numbers = [int(number.replace(",", "")) for number in re.findall(r"[\d,]+", account)]
        assert numbers == [rows["in"], rows["kept"], sum(rows["quarantined"].values()), rows["out_of_scope"]]
        for reason, count in rows["quarantined"].items():
            assert f"{reason} {count:,}" in reasons
