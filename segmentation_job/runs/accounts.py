"""What became of every row that came in: kept, set aside with a reason, or out of scope of the as-of date."""

from dataclasses import dataclass
from datetime import date

from segmentation_job.warehouse.interface import Warehouse


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
