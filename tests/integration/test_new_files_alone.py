"""Facts that take up new landing files alone are those that all files give, whatever the new rows say of older ones."""

import json
from datetime import date
from pathlib import Path

import duckdb
import pytest

from tests.support.nights import Nights
from tests.support.rows import Rows, differences, schema_rows
from tests.support.simulated_shop import SOURCE, landing_of_shop, write_small_shop

FIRST_DAY = date(2025, 12, 1)
# What changed since the build before, and the view of it.
OF_ONE_BUILD = {
    "int_changed_days",
    "int_changed_event_days",
    "int_customer_web_events",
    "int_touched_order_event_days",
}
# Rows that came to be known on the first two nights, but for what is late here: what others lean on comes after them.
FIRST_NIGHT = "ingested_at >= timestamp '2025-12-01' and ingested_at < timestamp '2025-12-02'"
SECOND_NIGHT = "ingested_at >= timestamp '2025-12-02' and ingested_at < timestamp '2025-12-05'"
LATE = {
    "customers": "md5(customer_id) < '08'",
    "products": "md5(product_id) < '02'",
    "orders": "md5(order_id) < '02'",
    "order_lines": "md5(order_id || line_id) < '01'",
    "order_events": "event_type != 'shipped' and md5(event_id) < '20'",
    "web_events": "event_type = 'add_to_cart' and md5(event_id) < '04'",
}
# Copies of old rows: some stand before what was kept, some behind.
COPIES = {
    "orders": "select * replace (strftime(try_cast(ordered_at as timestamp) - interval 3 day, '%Y-%m-%d %H:%M:%S')"
    " as ordered_at) from landed where md5(order_id) between '30' and '31'",
    "order_lines": "select * replace (ingested_at + interval 9 day as ingested_at, 'p0001' as product_id) from landed"
    " where md5(order_id || line_id) between '30' and '31'",
    "payments": "select * replace (due_at - interval 40 day as due_at) from landed"
    " where md5(payment_id) between '30' and '31'",
    "web_events": "select * replace (occurred_at + interval 2 day as occurred_at, null as event_type) from landed"
    " where md5(event_id) between '30' and '31'",
    "customers": "select * replace (valid_from - interval 200 day as valid_from) from landed"
    " where md5(customer_id) between '30' and '32'",
    "products": "select * replace (timestamp '2025-06-01' as valid_from, 'other things' as category) from landed"
    " where md5(product_id) between '30' and '32'",
}


def deliver(landing: Path) -> tuple[dict[str, str], ...]:
    """Divide the landing into a first delivery and two nights; return the queries of each, by table."""
    tables = sorted(folder.name for folder in landing.iterdir())
    base, first, second = {}, {}, {}
    for table in tables:
        late = f"({LATE[table]})" if table in LATE else "false"
        known = f"not coalesce({FIRST_NIGHT}, false) and not coalesce({SECOND_NIGHT}, false)"
        base[table] = f"select * from landed where {known} and not {late}"
        first[table] = f"select * from landed where {FIRST_NIGHT} and not {late}"
        second[table] = f"select * from landed where coalesce({SECOND_NIGHT}, false) or {late}"
        if table in COPIES:
            second[table] += f" union all by name {COPIES[table]}"
    return base, first, second


def write_delivery(landed: Path, landing: Path, queries: dict[str, str], name: str) -> None:
    for table, query in queries.items():
        (landing / table).mkdir(parents=True, exist_ok=True)
        with duckdb.connect() as connection:
            connection.execute("set TimeZone = 'UTC'")
            connection.execute(f"create view landed as select * from '{landed / table}/*.parquet'")
            if connection.execute(f"select count(*) from ({query})").fetchall() != [(0,)]:
                connection.execute(f"copy ({query}) to '{landing / table / name}.parquet' (format parquet)")


def facts_of(nights: Nights) -> Rows:
    """Return the rows of staging and of the facts, but for which of the rows without an id comes first."""
    found = schema_rows(nights.warehouse, "intermediate", leave_out=OF_ONE_BUILD)
    for (name,) in nights.query(
        "select table_name from information_schema.tables where table_schema = 'staging' and table_name like '%checked'"
    ):
        rows = nights.query(f"select columns(* exclude copy_number) from staging.{name}")
        found[name] = sorted(tuple(map(repr, row)) for row in rows)
    return found


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The landing of a whole shop, to be delivered in parts."""
    data_dir = tmp_path_factory.mktemp("whole_shop")
    write_small_shop(data_dir, customers=250, dirt_rate=0.02)
    return landing_of_shop(data_dir)


@pytest.fixture(scope="module")
def taken_up(landed: Path, tmp_path_factory: pytest.TempPathFactory) -> Nights:
    """The facts of three deliveries, built after each."""
    nights = Nights(tmp_path_factory.mktemp("taken_up"), {"SOURCE": SOURCE})
    for number, queries in enumerate(deliver(landed)):
        write_delivery(landed, landing_of_shop(nights.data_dir), queries, f"part-{number}")
        finished = nights.step("build_facts", FIRST_DAY)
        assert finished.exit_code == 0, finished.output
    return nights


@pytest.fixture(scope="module")
def read_anew(landed: Path, tmp_path_factory: pytest.TempPathFactory) -> Nights:
    """The facts of the same deliveries, built once from all."""
    nights = Nights(tmp_path_factory.mktemp("read_anew"), {"SOURCE": SOURCE})
    for number, queries in enumerate(deliver(landed)):
        write_delivery(landed, landing_of_shop(nights.data_dir), queries, f"part-{number}")
    finished = nights.step("build_facts", FIRST_DAY)
    assert finished.exit_code == 0, finished.output
    return nights


def test_facts_that_took_up_new_files_are_those_of_all_files(taken_up: Nights, read_anew: Nights) -> None:
    assert differences(facts_of(taken_up), facts_of(read_anew)) == {}


def test_only_the_files_of_the_night_were_read(taken_up: Nights) -> None:
    steps = [json.loads(line) for line in (taken_up.source_dir / "run_log.jsonl").read_text().splitlines()]
    new_files = [step["details"]["new_files"] for step in steps if step["event"] == "ended"]
    assert new_files == [
        None,
        *(len(list(landing_of_shop(taken_up.data_dir).glob(f"*/part-{night}.parquet"))) for night in (1, 2)),
    ]
