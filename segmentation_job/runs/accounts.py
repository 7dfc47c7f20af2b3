"""What became of every row that came in: kept, set aside with a reason, or out of scope of the as-of date."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from segmentation_job.errors import SourceNotReadyError
from segmentation_job.warehouse.interface import Warehouse

FEWEST_ROWS_JUDGED = 20
"""Of a handful of rows half may be dirt."""


@dataclass(frozen=True)
class EntityAccount:
    """Rows of one entity. rows_in = kept + the sum of quarantined + out_of_scope.

    kept: rows that the as-of date may use. quarantined: rows set aside, by reason. out_of_scope: good rows that are
    dated on or after the as-of date; for customers, those not yet seen.
    """

    entity: str
    rows_in: int
    kept: int
    quarantined: dict[str, int]
    out_of_scope: int


def account_rows(warehouse: Warehouse, as_of: date) -> list[EntityAccount]:
    """Account for the rows of every entity at an as-of date."""
    unseen = warehouse.rows(
        "select count(*) from staging.stg_customers_checked as customers"
        " left join intermediate.int_customer_first_seen as first_seen"
        " on customers.customer_id = first_seen.customer_id and first_seen.first_seen_date < ?"
        " where customers.quarantine_reason is null and (first_seen.customer_id is null or valid_from_date >= ?)",
        (as_of, as_of),
    )
    accounts: dict[str, EntityAccount] = {}
    for entity, outcome, total, later in warehouse.rows(
        "select entity, outcome, sum(row_count), coalesce(sum(row_count) filter (where event_date >= ?), 0)"
        " from intermediate.int_row_accounts group by entity, outcome order by entity, outcome",
        (as_of,),
    ):
        account = accounts.setdefault(entity, EntityAccount(entity, 0, 0, {}, 0))
        out_of_scope = int(unseen[0][0]) if entity == "customers" else int(later)
        if outcome == "kept":
            accounts[entity] = EntityAccount(
                entity, account.rows_in + int(total), int(total) - out_of_scope, account.quarantined, out_of_scope
            )
        else:
            accounts[entity] = EntityAccount(
                entity,
                account.rows_in + int(total),
                account.kept,
                {**account.quarantined, outcome: int(total)},
                account.out_of_scope,
            )
    return list(accounts.values())


def require_most_rows_kept(
    warehouse: Warehouse, accounts: Sequence[EntityAccount], as_of: date, largest_share: float
) -> None:
    """Raise SourceNotReadyError where more than a share of an entity's rows is set aside: that is no dirt.

    largest_share: between 0 and 1. Copies do not count, for of each the best is kept.
    """
    broken = []
    for account in accounts:
        reasons = {reason: count for reason, count in account.quarantined.items() if reason != "duplicate"}
        bad = sum(reasons.values())
        if account.rows_in < FEWEST_ROWS_JUDGED or bad <= largest_share * account.rows_in:
            continue
        told = ", ".join(f"{reason} {count:,}" for reason, count in reasons.items())
        columns = warehouse.rows(
            "select unreadable_columns, count(*) from staging.quarantine"
            " where entity = ? and reason = 'value_unreadable' group by 1 order by 2 desc, 1 limit 1",
            (account.entity,),
        )
        unreadable = f"; column {columns[0][0]} is unreadable" if columns else ""
        broken.append(f"{account.entity}: {bad:,} of {account.rows_in:,} rows are set aside ({told}{unreadable})")
    if broken:
        raise SourceNotReadyError(
            f"Too much of the landing is unusable for {as_of}:\n  "
            + "\n  ".join(broken)
            + f"\nMore than {largest_share:.0%} of an entity is no dirt but a delivery that broke or changed: let the "
            "source deliver again, or mend the mapping; staging.quarantine lists the rows. Where so much dirt is "
            "expected, raise SEGMENTATION_MAX_QUARANTINED_SHARE. Nothing was promoted."
        )


def describe_accounts(accounts: list[EntityAccount], as_of: date) -> str:
    """Return the accounts as text, a line per entity."""
    lines = [f"Rows at {as_of}: in = kept + quarantined + out of scope"]
    for account in accounts:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in account.quarantined.items())
        lines.append(
            f"  {account.entity:<18} {account.rows_in:>12,} = {account.kept:>12,}"
            f" + {sum(account.quarantined.values()):>9,} + {account.out_of_scope:>9,}"
            + (f"   ({reasons})" if reasons else "")
        )
    return "\n".join(lines)
