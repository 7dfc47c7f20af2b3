with quarantined as (
    select
        entity,
        reason,
        count(*) as row_count
    from {{ ref('quarantine') }}
    group by
        entity,
        reason
),

accounts as (
    select
        entity,
        outcome as reason,
        sum(row_count) as row_count
    from {{ ref('int_row_accounts') }}
    where outcome != 'kept'
    group by
        entity,
        outcome
)

select
    coalesce(quarantined.entity, accounts.entity) as entity,
    coalesce(quarantined.reason, accounts.reason) as reason,
    coalesce(quarantined.row_count, 0) as rows_in_quarantine,
    coalesce(accounts.row_count, 0) as rows_set_aside
from quarantined
full outer join accounts
    on
        quarantined.entity = accounts.entity
        and quarantined.reason = accounts.reason
where coalesce(quarantined.row_count, 0) != coalesce(accounts.row_count, 0)
