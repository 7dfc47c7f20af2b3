-- Rows that have no date belong to no as-of date: a run prints them, this table counts the dated ones.
with dates as (
    select as_of_date
    from {{ source('promoted', 'dates') }}
    where has_labels
),

accounts as (
    select * from {{ ref('int_row_accounts') }}
    where event_date is not null
),

final as (
    select
        dates.as_of_date,
        accounts.entity,
        accounts.outcome,
        cast(sum(accounts.row_count) as bigint) as row_count
    from dates
    inner join accounts on accounts.event_date < dates.as_of_date
    group by
        dates.as_of_date,
        accounts.entity,
        accounts.outcome
)

select * from final
