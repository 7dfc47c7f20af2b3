"""The floors and alternatives that a night is held against, each a process of its own that prints what it took.

    python -m tests.measurements.bench.floors scan-landing|scan-facts|recompute|gate|matrix …

CPU is counted from when everything is imported: what starting costs is no part of a floor.
"""

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, Final

import duckdb

SUITES: Final = ("demographic_features", "financial_features", "purchase_features", "engagement_features")
RECOMPUTE: Final = Path(__file__).with_name("recompute.sql")
# What the features' SQL reads of each table of the landing.
NEEDED_COLUMNS: Final = {
    "customers": (
        "customer_id valid_from signup_date birth_date age_band gender income_amount income_band country region city"
        " postal_code language ethnicity household_size marital_status education acquisition_channel"
    ),
    "orders": "order_id customer_id ordered_at is_subscription",
    "order_lines": ("order_id line_id product_id quantity gross_amount discount_amount net_amount unit_cost_amount"),
    "order_events": "order_id line_id event_type occurred_at quantity amount",
    "payments": "customer_id method due_at paid_at failed_at amount",
    "credit": "customer_id credit_date limit_amount balance_amount external_score",
    "loyalty_events": "customer_id event_type occurred_at points tier",
    "web_events": "session_id customer_id event_type occurred_at product_id device",
    "feedback": "customer_id feedback_type occurred_at score score_scale",
    "campaign_contacts": "customer_id contacted_at responded_at",
    "products": "product_id valid_from department category is_private_label list_price_amount",
}
# Doubles are rounded to six digits; what is added in another order may round to the next.
TOLERANCE: Final = 0.000002
TOLERANCE_OF_MONEY: Final = 0.006
_ONE_TABLE = re.compile(r"select (?P<shown>.*?) from (?P<origin>.*?) where (?P<condition>.*)", re.DOTALL)


@contextmanager
def counted(found: dict[str, float], name: str) -> Iterator[None]:
    """Add what a block took to `found`: CPU of all threads, and wall time."""
    cpu, wall = time.process_time(), time.monotonic()
    yield
    found[f"{name}cpu_seconds"] = round(time.process_time() - cpu, 3)
    found[f"{name}seconds"] = round(time.monotonic() - wall, 3)


def _connect(options: argparse.Namespace, path: Path | None = None) -> duckdb.DuckDBPyConnection:
    config: dict[str, Any] = {"threads": str(options.threads), "memory_limit": options.memory_limit}
    return duckdb.connect(str(path or ":memory:"), read_only=path is not None, config=config)


def _read_whole(connection: duckdb.DuckDBPyConnection, table: str, columns: dict[str, str]) -> None:
    """Read every value of some columns; the greatest of each is the least that can be asked of a value that is read."""
    asked = ", ".join(
        f'max(strlen("{name}"))' if kind == "VARCHAR" else f'max("{name}")' for name, kind in columns.items()
    )
    connection.execute(f"select {asked} from {table}").fetchall()


def _columns(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    return {str(name): str(kind) for name, kind, *_ in connection.execute(f"describe select * from {table}").fetchall()}


def scan_landing(options: argparse.Namespace) -> dict[str, float]:
    """Read the needed columns of the landing's Parquet files."""
    found: dict[str, float] = {}
    with _connect(options) as connection, counted(found, ""):
        for table, names in NEEDED_COLUMNS.items():
            files = f"'{options.landing}/{table}/*.parquet'"
            kinds = _columns(connection, files)
            _read_whole(connection, files, {name: kinds[name] for name in names.split()})
    return found


def scan_facts(options: argparse.Namespace) -> dict[str, float]:
    """Read every column of the facts that are tables, whatever they are called."""
    found: dict[str, float] = {}
    with _connect(options, options.warehouse) as connection:
        tables = connection.execute(
            "select table_name from duckdb_tables() where schema_name = 'intermediate' order by 1"
        ).fetchall()
        with counted(found, ""):
            for (table,) in tables:
                name = f'intermediate."{table}"'
                _read_whole(connection, name, _columns(connection, name))
    return found


def recompute(options: argparse.Namespace) -> dict[str, float]:
    """Compute all features of a date from the landing by hand-written SQL, into a database file of its own."""
    found: dict[str, float] = {}
    options.scratch.unlink(missing_ok=True)
    config = {"threads": str(options.threads), "memory_limit": options.memory_limit}
    with duckdb.connect(str(options.scratch), config=config) as connection:
        connection.execute("set preserve_insertion_order = false")
        for statement in RECOMPUTE.read_text().format(landing=options.landing, as_of=options.as_of).split(";\n"):
            step: dict[str, float] = {}
            with counted(step, ""):
                connection.execute(statement)
            table = re.findall(r"create (?:temp )?table (\w+)", statement)[0]
            found[f"{table}_cpu_seconds"] = step["cpu_seconds"]
    found["cpu_seconds"] = round(sum(found.values()), 3)
    return found


def gate(options: argparse.Namespace) -> dict[str, float]:
    """Ask what the feature suites ask in as few scans as SQL by hand would: one for each from-clause."""
    from segmentation_job.gate.batch_views import plan_batch_views
    from segmentation_job.gate.distribution_shift import with_distribution_shift
    from segmentation_job.gate.duckdb_store import DuckDBStore

    store = DuckDBStore(options.warehouse, threads=options.threads, memory_limit=options.memory_limit)
    suites = {name: json.loads((options.expectations / f"{name}.json").read_text())["expectations"] for name in SUITES}
    found: dict[str, float] = {}
    with _connect(options, options.warehouse) as connection, counted(found, ""):
        scans, others = hand_written(suites)
        used = set(re.findall(r"\w+", " ".join([*scans, *others])))
        # What is compared with the date before is named by the call alone.
        used |= {f"previous_{name}" for name in used}
        for statement in (*store.functions, *plan_batch_views(store, connection, options.as_of, used).statements):
            connection.execute(statement)
        unexpected = 0
        for origin, conditions in scans.items():
            counts = ", ".join(f"count(*) filter (where {condition})" for condition in conditions)
            unexpected += sum(connection.execute(f"select {counts} from {origin}").fetchall()[0])
        for query in others:
            unexpected += len(connection.execute(with_distribution_shift(query, store.quintiles)).fetchall())
    found["checks"] = sum(len(suite) for suite in suites.values())
    found["queries"] = len(scans) + len(others)
    found["unexpected"] = unexpected
    return found


def hand_written(suites: dict[str, list[dict[str, Any]]]) -> tuple[dict[str, list[str]], list[str]]:
    """Return the checks of suites as conditions of unexpected rows by from-clause, and as queries of their own."""
    scans: dict[str, list[str]] = {}
    others: dict[str, None] = {}
    for table, expectations in suites.items():
        for expectation in expectations:
            kwargs = expectation["kwargs"]
            query = kwargs.get("unexpected_rows_query", "").replace("{batch}", table)
            if not query:
                scans.setdefault(table, []).append(_condition(expectation["type"], kwargs))
                continue
            shift = re.search(r"from (distribution_shift\(.*?\))", query)
            simple = _ONE_TABLE.fullmatch(query)
            if shift:
                # Two thresholds of one figure: it is computed once.
                others[f"select * from {shift[1]} where shift > 2 + 2 * noise"] = None
            elif simple and "select" not in simple["origin"] + simple["condition"] and " group by " not in query:
                scans.setdefault(simple["origin"], []).append(simple["condition"])
            else:
                others[query] = None
    return scans, list(others)


def _condition(kind: str, kwargs: dict[str, Any]) -> str:
    column = kwargs.get("column")
    if kind == "expect_column_values_to_not_be_null":
        return f"{column} is null"
    if kind == "expect_column_values_to_be_between":
        bounds = [
            f"{column} {sign} {kwargs[bound]}"
            for bound, sign in (("min_value", "<"), ("max_value", ">"))
            if kwargs.get(bound) is not None
        ]
        return " or ".join(bounds)
    if kind == "expect_column_pair_values_a_to_be_greater_than_b":
        sign = "<" if kwargs.get("or_equal") else "<="
        return f"{kwargs['column_A']} {sign} {kwargs['column_B']}"
    if kind == "expect_table_row_count_to_be_between":
        return "false"
    raise ValueError(f"no SQL is written for {kind}")


def matrix(options: argparse.Namespace) -> dict[str, float]:
    """Read the matrix of lens overall by Arrow, and multiply it once with as many centroids as its model has."""
    import numpy as np

    from segmentation_job.segments.lenses import parse_lens
    from segmentation_job.settings import SHIPPED_LENSES_DIR
    from segmentation_job.warehouse.duckdb_engine import DuckDBWarehouse

    path = SHIPPED_LENSES_DIR / "overall.yaml"
    lens = parse_lens(path.read_text(), str(path))
    by_table: dict[str, list[str]] = {}
    for feature in lens.features:
        if feature.name not in lens.text_columns():
            table, _, column = feature.name.partition(".")
            by_table.setdefault(table, []).append(column)
    names = [f"{table}.{column}" for table, columns in by_table.items() for column in columns]
    found: dict[str, float] = {}
    with DuckDBWarehouse(options.warehouse, threads=options.threads, memory_limit=options.memory_limit) as warehouse:
        sql = warehouse.feature_sql(options.schema, by_table, frozenset())
        centroids = np.ones((len(names), 10))
        with counted(found, ""):
            customers = 0
            for batch in warehouse.batches(sql, (options.as_of,), 250_000):
                values = np.column_stack([batch.column(name).to_numpy(zero_copy_only=False) for name in names])
                customers += len((values @ centroids).argmin(axis=1))
    found["customers"] = customers
    return found


def compare(options: argparse.Namespace) -> dict[str, float]:
    """Hold what was recomputed against what we computed for the date: values compared, and how many differ."""
    found = {"columns": 0.0, "values": 0.0, "different": 0.0}
    with _connect(options) as connection:
        connection.execute(f"attach '{options.warehouse}' as warehouse (read_only)")
        if options.scratch.suffix == ".parquet":
            # One wide table: each of ours finds its own columns in it.
            connection.execute("attach ':memory:' as recomputed")
            for table in SUITES:
                connection.execute(f"create view recomputed.{table} as select * from '{options.scratch}'")
        else:
            connection.execute(f"attach '{options.scratch}' as recomputed (read_only)")
        for table in SUITES:
            ours = _columns(connection, f"warehouse.{options.schema}.{table}")
            computed = _columns(connection, f"recomputed.{table}")
            theirs = [name for name in computed if name in ours and name != "customer_id"]
            differences = [f"count(*) filter (where {_differs(name, ours[name])})" for name in theirs]
            rows, *different = connection.execute(
                f"select count(*), {', '.join(differences)} from recomputed.{table} as theirs"
                f" full outer join (select * from warehouse.{options.schema}.{table} where as_of_date = ?) as ours"
                " on ours.customer_id = theirs.customer_id",
                [options.as_of],
            ).fetchall()[0]
            found["columns"] += len(theirs)
            found["values"] += rows * len(theirs)
            found["different"] += sum(different)
            for name, count in zip(theirs, different, strict=True):
                if count:
                    print(f"{table}.{name}: {count} of {rows} differ", file=sys.stderr)
    return found


def _differs(name: str, kind: str) -> str:
    if kind.startswith("DECIMAL"):
        return (
            f"(ours.{name} is null) != (theirs.{name} is null)"
            f" or abs(ours.{name} - theirs.{name}) > {TOLERANCE_OF_MONEY}"
        )
    if kind == "DOUBLE":
        return (
            f"(ours.{name} is null) != (theirs.{name} is null)"
            f" or abs(ours.{name} - theirs.{name}) > {TOLERANCE} * greatest(1, abs(ours.{name}))"
        )
    return f"ours.{name} is distinct from theirs.{name}"


COMMANDS: Final[dict[str, Callable[[argparse.Namespace], dict[str, float]]]] = {
    "scan-landing": scan_landing,
    "scan-facts": scan_facts,
    "recompute": recompute,
    "compare": compare,
    "gate": gate,
    "matrix": matrix,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=COMMANDS)
    parser.add_argument("--landing", type=Path)
    parser.add_argument("--warehouse", type=Path)
    parser.add_argument("--expectations", type=Path)
    parser.add_argument("--scratch", type=Path)
    parser.add_argument("--as-of", type=date.fromisoformat)
    parser.add_argument("--schema", choices=("promoted", "candidate"), default="promoted")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory-limit", default="4GB")
    options = parser.parse_args()
    json.dump(COMMANDS[options.what](options), sys.stdout)


if __name__ == "__main__":
    main()
