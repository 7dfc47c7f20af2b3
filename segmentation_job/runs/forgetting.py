"""The warehouse without some people: their rows go, and what was recorded of inputs becomes what is true without them.

Nothing else changes. A date that rested on today's rows does so afterwards, one that was stale stays stale, and a model
stays the model of its refit date, although people it was fitted on are gone.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from segmentation_job.errors import MisconfiguredError
from segmentation_job.runs.calendar import fit_dates
from segmentation_job.runs.feature_matrix import features_hash
from segmentation_job.runs.forecasting import forecast_inputs_hash
from segmentation_job.runs.lineage import dates_of_run
from segmentation_job.runs.state import arrivals, rows_in_scope_hash
from segmentation_job.warehouse.interface import Warehouse
from segmentation_job.warehouse.tables import FEATURE_TABLES, FORECAST_TABLES

FACTS_SCHEMAS: Final = ("staging", "intermediate")
PRUNED_SCHEMAS: Final = ("promoted", "marts", "pipeline")


@dataclass(frozen=True)
class TrueBefore:
    """What was true of the warehouse before anybody was forgotten.

    rows_hashes: by as-of date with recorded inputs, the hash of the rows in scope. arrivals: days on which some
    customer was seen first. described: by labelled date, the hash of what the marts describe.
    """

    rows_hashes: Mapping[date, str | None]
    arrivals: tuple[date, ...]
    described: Mapping[date, str]


@dataclass(frozen=True)
class Pruned:
    """What was taken out: rows by table; the dates with a run under way, which must be run again."""

    rows: dict[str, int]
    withdrawn: tuple[date, ...]


def has_facts(warehouse: Warehouse) -> bool:
    """Say whether facts were ever built."""
    return warehouse.has_table("intermediate.int_input_scope") and warehouse.has_table(
        "intermediate.int_customer_first_seen"
    )


def read_truth(warehouse: Warehouse) -> TrueBefore:
    """Return what is true of a warehouse whose facts are built from all that has landed."""
    facts = has_facts(warehouse)
    days = _dates_with_inputs(warehouse) if facts else set()
    described = {}
    if warehouse.has_table("pipeline.profile_dates"):
        described = {
            day: str(content)
            for day, content in warehouse.rows("select as_of_date, content_hash from pipeline.profile_dates")
        }
    return TrueBefore(
        {day: rows_in_scope_hash(warehouse, day) for day in days}, arrivals(warehouse) if facts else (), described
    )


def customers_in(warehouse: Warehouse, customers: Collection[str]) -> frozenset[str]:
    """Return those of some customers of whom a row is kept, or whom a gate named."""
    ids = sorted(customers)
    found: set[str] = set()
    for schema, table in _tables_with_customers(warehouse, (*FACTS_SCHEMAS, "candidate", *PRUNED_SCHEMAS)):
        rows = warehouse.rows(
            f'select distinct customer_id from {schema}."{table}" where list_contains(?, customer_id)', (ids,)
        )
        found |= {str(customer) for (customer,) in rows}
    for (keys,) in warehouse.rows("select distinct first_keys from pipeline.gate_results where first_keys is not null"):
        found |= {str(key) for key in json.loads(keys)} & set(ids)
    return frozenset(found)


def owners_of_orders(warehouse: Warehouse, customers: Collection[str]) -> dict[str, str]:
    """Return the orders of some customers as staging has them, by order."""
    if not warehouse.has_table("staging.stg_orders"):
        return {}
    found = warehouse.rows(
        "select order_id, customer_id from staging.stg_orders where list_contains(?, customer_id)", (sorted(customers),)
    )
    return {str(order): str(customer) for order, customer in found}


def forget_in_warehouse(warehouse: Warehouse, customers: Collection[str], before: TrueBefore) -> Pruned:
    """Take people out of everything that was computed, and carry over what is recorded, in one transaction.

    The facts are built without them already: raises MisconfiguredError where they are not. Runs under way lose their
    candidates. customers: ids as staging cleans them.
    """
    ids = sorted(customers)
    _require_facts_without(warehouse, ids)
    with warehouse.transaction():
        under_way = warehouse.rows("select distinct run_date from pipeline.plans order by run_date")
        removed = _withdraw_candidates(warehouse, ids)
        touched = _dates_of(warehouse, ids)
        for schema, table in _tables_with_customers(warehouse, PRUNED_SCHEMAS):
            name = f'{schema}."{table}"'
            found = warehouse.rows(f"select count(*) from {name} where list_contains(?, customer_id)", (ids,))
            if found[0][0]:
                removed[f"{schema}.{table}"] = int(found[0][0])
                warehouse.rows(f"delete from {name} where list_contains(?, customer_id)", (ids,))
        _carry_over_features(warehouse, touched)
        _carry_over_rows(warehouse, touched, before)
        _drop_leaned_dates(warehouse, before.arrivals)
        _carry_over_descriptions(warehouse, before.described)
        _clear_gate_results(warehouse, ids)
        warehouse.rows("delete from pipeline.marts_state where not is_ready")
    return Pruned(removed, tuple(day for (day,) in under_way))


def rename_publications(warehouse: Warehouse, names: Mapping[str, str]) -> None:
    """Record that published files were written anew under other names. names: new ones by old."""
    for old, new in names.items():
        warehouse.rows("update pipeline.publications set file = ? where file = ?", (new, old))


def keep_pruned_features(warehouse: Warehouse, days: Sequence[date]) -> tuple[date, ...]:
    """Take over as candidates the promoted features of dates that somebody was forgotten out of; return these dates.

    Only where a date's rows and logic are still those that it was promoted with. Some features set a customer against
    everybody: without who is gone they would come out otherwise for others, and make dates stale.
    """
    kept = tuple(day for day in days if _is_pruned_and_unchanged(warehouse, day))
    with warehouse.transaction():
        for day in kept:
            for table in FEATURE_TABLES:
                warehouse.move_rows(f"promoted.{table}", f"candidate.{table}", {"as_of_date": day})
            months = "category_month_demand"
            if warehouse.has_table(f"promoted.{months}") and warehouse.rows(
                f"select 1 from promoted.{months} where as_of_date = ? limit 1", (day,)
            ):
                warehouse.move_rows(f"promoted.{months}", f"candidate.{months}", {"as_of_date": day})
    return kept


def keep_pruned_forecasts(warehouse: Warehouse, as_of: date) -> bool:
    """Take over as candidates the promoted forecasts of a date that somebody was forgotten out of; say whether it did.

    Their models were fitted with who is gone, and stay.
    """
    if not _is_pruned_and_unchanged(warehouse, as_of) or not warehouse.rows(
        "select 1 from promoted.forecast_models where as_of_date = ? limit 1", (as_of,)
    ):
        return False
    with warehouse.transaction():
        for table in FORECAST_TABLES:
            warehouse.move_rows(f"promoted.{table}", f"candidate.{table}", {"as_of_date": as_of})
        warehouse.rows(
            "update candidate.forecast_models set inputs_hash = ? where as_of_date = ?",
            (forecast_inputs_hash(warehouse, as_of), as_of),
        )
    return True


def _is_pruned_and_unchanged(warehouse: Warehouse, day: date) -> bool:
    return bool(
        warehouse.rows(
            "select 1 from pipeline.pruned_dates as pruned"
            " inner join promoted.feature_inputs as promoted using (as_of_date, rows_hash, features_version)"
            " inner join candidate.feature_inputs as candidate using (as_of_date, rows_hash, features_version)"
            " where as_of_date = ?",
            (day,),
        )
        if warehouse.has_table("promoted.feature_inputs") and warehouse.has_table("candidate.feature_inputs")
        else ()
    )


def _dates_with_inputs(warehouse: Warehouse) -> set[date]:
    days = {day for (day,) in warehouse.rows("select as_of_date from promoted.run_inputs")}
    if warehouse.has_table("promoted.feature_inputs"):
        days |= {day for (day,) in warehouse.rows("select as_of_date from promoted.feature_inputs")}
    return days


def _tables_with_customers(warehouse: Warehouse, schemas: Sequence[str]) -> list[tuple[str, str]]:
    found = warehouse.rows(
        "select columns.table_schema, columns.table_name from information_schema.columns as columns"
        " inner join information_schema.tables as tables using (table_catalog, table_schema, table_name)"
        " where columns.column_name = 'customer_id' and tables.table_type = 'BASE TABLE'"
        " and list_contains(?, columns.table_schema) order by 1, 2",
        (list(schemas),),
    )
    return [(str(schema), str(table)) for schema, table in found]


def _require_facts_without(warehouse: Warehouse, ids: list[str]) -> None:
    for schema, table in _tables_with_customers(warehouse, FACTS_SCHEMAS):
        left = warehouse.rows(f'select count(*) from {schema}."{table}" where list_contains(?, customer_id)', (ids,))
        if left[0][0]:
            raise MisconfiguredError(
                f"{left[0][0]} rows of {schema}.{table} are still theirs after their rows were taken out of the "
                "landing: what the source declares as `personal` is not what its mapping makes customer_id of. "
                "Nothing was changed."
            )


def _withdraw_candidates(warehouse: Warehouse, ids: list[str]) -> dict[str, int]:
    """Take all candidates away: what of a run under way was judged or fitted rests on who is gone."""
    removed = {}
    personal = set(_tables_with_customers(warehouse, ("candidate",)))
    tables = warehouse.rows(
        "select table_name from information_schema.tables where table_schema = 'candidate'"
        " and table_type = 'BASE TABLE'"
    )
    for (table,) in tables:
        if ("candidate", table) in personal:
            found = warehouse.rows(
                f'select count(*) from candidate."{table}" where list_contains(?, customer_id)', (ids,)
            )
            if found[0][0]:
                removed[f"candidate.{table}"] = int(found[0][0])
        warehouse.rows(f'delete from candidate."{table}"')
    for name in ("plans", "plan_decisions", "gate_verdicts"):
        warehouse.rows(f"delete from pipeline.{name}")
    return removed


def _dates_of(warehouse: Warehouse, ids: list[str]) -> dict[date, str]:
    """The dates whose promoted features hold one of some people, with the hash recorded of them."""
    found: set[date] = set()
    for table in FEATURE_TABLES:
        if warehouse.has_table(f"promoted.{table}"):
            found |= {
                day
                for (day,) in warehouse.rows(
                    f"select distinct as_of_date from promoted.{table} where list_contains(?, customer_id)", (ids,)
                )
            }
    recorded: dict[date, str] = dict(warehouse.rows("select as_of_date, content_hash from promoted.dates"))
    return {day: str(recorded[day]) for day in sorted(found) if day in recorded}


def _carry_over_features(warehouse: Warehouse, touched: Mapping[date, str]) -> None:
    for day, old in touched.items():
        new = features_hash(warehouse, "promoted", day)
        customers = int(new.partition(":")[0])
        # A refit is fitted on at most so many as there are: on fewer now, and is the same refit.
        warehouse.rows(
            "update promoted.lineage as lineage set sample_size = least(sample_size, ?) where refit_date = ? and exists"
            " (select 1 from promoted.lineage_dates as leanings where leanings.lens = lineage.lens and"
            " leanings.refit_date = lineage.refit_date and leans_on_date = lineage.refit_date and content_hash = ?)",
            (customers, day, old),
        )
        warehouse.rows("update promoted.dates set content_hash = ? where as_of_date = ?", (new, day))
        for table in ("run_dates", "lineage_dates"):
            warehouse.rows(
                f"update promoted.{table} set content_hash = ? where leans_on_date = ? and content_hash = ?",
                (new, day, old),
            )
        warehouse.rows(
            "update promoted.runs set features_hash = ? where as_of_date = ? and features_hash = ?", (new, day, old)
        )


def _carry_over_rows(warehouse: Warehouse, touched: Mapping[date, str], before: TrueBefore) -> None:
    has_inputs = warehouse.has_table("promoted.feature_inputs")
    for day, old in before.rows_hashes.items():
        found = warehouse.rows(
            "select rows_hash, rows_in, rows_kept, rows_quarantined from intermediate.int_input_scope"
            " where event_date < ? order by event_date desc limit 1",
            (day,),
        )
        if not found or old is None:
            continue
        new, *counts = found[0]
        warehouse.rows(
            "update promoted.run_inputs set content_hash = ? where as_of_date = ? and input = 'rows_in_scope'"
            " and content_hash = ?",
            (new, day, old),
        )
        if not has_inputs:
            continue
        fresh = warehouse.rows(
            "select features_version from promoted.feature_inputs where as_of_date = ? and rows_hash = ?", (day, old)
        )
        warehouse.rows(
            "update promoted.feature_inputs set rows_hash = ?, rows_in = ?, rows_kept = ?, rows_quarantined = ?"
            " where as_of_date = ? and rows_hash = ?",
            (new, *counts, day, old),
        )
        was_pruned = warehouse.rows(
            "select 1 from pipeline.pruned_dates where as_of_date = ? and rows_hash = ?", (day, old)
        )
        if fresh and (day in touched or was_pruned):
            warehouse.rows("delete from pipeline.pruned_dates where as_of_date = ?", (day,))
            warehouse.rows("insert into pipeline.pruned_dates values (?, ?, ?)", (day, new, fresh[0][0]))


def _drop_leaned_dates(warehouse: Warehouse, days_before: tuple[date, ...]) -> None:
    """Take out of what labels and refits lean on the dates on which none but the forgotten had to settle."""
    days_after = arrivals(warehouse) if has_facts(warehouse) else ()
    if days_before == days_after or not days_before:
        return
    first_after = days_after[0] if days_after else date.max
    fitted: dict[str, date] = dict(warehouse.rows("select model_version, fitted_as_of from promoted.models"))
    for day, lens, version, start in warehouse.rows(
        "select as_of_date, lens, model_version, lineage_start from promoted.runs"
    ):
        leaned = dates_of_run(fitted[version], day, start, days_before)
        for dropped in leaned - dates_of_run(fitted[version], day, start, days_after):
            warehouse.rows(
                "delete from promoted.run_dates where as_of_date = ? and lens = ? and leans_on_date = ?",
                (day, lens, dropped),
            )
    for lens, refit_date, parent in warehouse.rows("select lens, refit_date, parent_version from promoted.lineage"):
        parent_date = fitted[parent] if parent is not None else None
        leaned = fit_dates(refit_date, parent_date, days_before[0], days_before)
        for dropped in leaned - fit_dates(refit_date, parent_date, first_after, days_after):
            warehouse.rows(
                "delete from promoted.lineage_dates where lens = ? and refit_date = ? and leans_on_date = ?",
                (lens, refit_date, dropped),
            )


def _carry_over_descriptions(warehouse: Warehouse, before: Mapping[date, str]) -> None:
    """Let what the marts said of a date stand: figures of segments keep who is gone."""
    if not before or not warehouse.has_table("marts.profiled_dates"):
        return
    for day, new in warehouse.rows("select as_of_date, content_hash from pipeline.profile_dates"):
        if day in before:
            warehouse.rows(
                "update marts.profiled_dates set content_hash = ? where as_of_date = ? and content_hash = ?",
                (new, day, before[day]),
            )


def _clear_gate_results(warehouse: Warehouse, ids: list[str]) -> None:
    """Take people out of the offending rows that gates wrote down: the key, and the row if it was theirs."""
    named = re.compile(rf"\bcustomer_id = ({'|'.join(re.escape(each) for each in ids)})(?=,|$)")
    for keys, observed in warehouse.rows(
        "select distinct first_keys, observed from pipeline.gate_results"
        " where first_keys is not null or observed is not null"
    ):
        left = [key for key in json.loads(keys) if key not in ids] if keys else []
        lost_key = bool(keys) and left != json.loads(keys)
        # What was seen is the first row in words; cut off, it may not name whose it was.
        is_theirs = bool(observed) and (bool(named.search(observed)) or (lost_key and json.loads(keys)[0] in ids))
        if lost_key or is_theirs:
            warehouse.rows(
                "update pipeline.gate_results set first_keys = ?, observed = ?"
                " where first_keys is not distinct from ? and observed is not distinct from ?",
                (json.dumps(left) if left else None, None if is_theirs else observed, keys, observed),
            )
