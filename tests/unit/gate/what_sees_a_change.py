"""Which expectations can see what was changed in a warehouse: the others need no second judgement."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from segmentation_job.gate.batch_views import SUITE_TABLES
from segmentation_job.gate.suites import load_suites

_FACT_VIEWS = {
    "candidate.runs": {"lens_runs"},
    "intermediate.int_customer_days": {"customer_days", "gate_run"},
    "intermediate.int_customer_first_seen": {"customers_in_scope"},
    "staging.stg_payments": {"due_payments"},
}
_DECIDES_WHICH_ROWS = {"as_of_date", "lens", "customer_id", "order_date", "first_seen_date", "due_date"}
"""Columns by which a view chooses its rows or queries join: a change of one is a change of rows."""


@dataclass(frozen=True)
class Change:
    """A table whose contents differ, and the columns that do; none where rows came or went."""

    table: str
    columns: frozenset[str]


def changes_between(clean: Path, changed: Path) -> list[Change]:
    """Compare the tables of two warehouse files row by row."""
    found = []
    with duckdb.connect(str(changed), read_only=True) as connection:
        connection.execute(f"attach '{clean}' as clean (read_only)")
        columns: dict[str, list[str]] = {}
        for schema, table, column in connection.execute(
            "select schema_name, table_name, column_name from duckdb_columns()"
            " where database_name = 'clean' and not internal"
        ).fetchall():
            columns.setdefault(f"{schema}.{table}", []).append(column)
        for table, names in columns.items():
            differing = ", ".join(f"count(*) filter (old.{name} is distinct from new.{name})" for name in names)
            unmatched = "count(*) filter (old.rowid is null or new.rowid is null)"
            row = connection.execute(
                f"select {unmatched}, {differing} from clean.{table} as old"
                f" full join {table} as new on old.rowid = new.rowid"
            ).fetchone()
            assert row is not None
            if any(row):
                differ = {name for name, count in zip(names, row[1:], strict=True) if count}
                has_other_rows = row[0] or differ & _DECIDES_WHICH_ROWS
                found.append(Change(table, frozenset() if has_other_rows else frozenset(differ)))
    return found


def _can_see(table: str, kwargs: dict[str, Any], changes: Iterable[Change]) -> bool:
    """Say whether an expectation on a candidate table reads what has changed, and rather yes than no."""
    text = json.dumps(kwargs).lower()
    words = set(re.findall(r"\w+", text))
    # A star reads every column, but for one that only counts rows.
    names_columns = "*" not in text.replace("count(*)", "")
    for change in changes:
        schema, name = change.table.split(".")
        if change.table in _FACT_VIEWS:
            reads = bool(words & _FACT_VIEWS[change.table])
        elif schema in ("candidate", "promoted") and name in SUITE_TABLES.values():
            reads = name == table or bool(words & {name, f"previous_{name}"})
        else:
            return True
        is_derived = "gate_run" in words
        if reads and (not change.columns or is_derived or not names_columns or words & change.columns):
            return True
    return False


def write_abridged_suites(expectations: Path, abridged: Path, changes: list[Change]) -> None:
    """Write the suites without the expectations that cannot see the changes; each keeps its least number of rows."""
    abridged.mkdir()
    for suite in load_suites(expectations):
        document = json.loads((expectations / f"{suite.name}.json").read_text(encoding="utf-8"))
        document["expectations"] = [
            written
            for written in document["expectations"]
            if written["type"] == "expect_table_row_count_to_be_between"
            or _can_see(suite.table, written["kwargs"], changes)
        ]
        (abridged / f"{suite.name}.json").write_text(json.dumps(document), encoding="utf-8")
