-- What a run for D rests on is the row of the last day before D. Undated rows are no part of any date.
with day_hashes as (
    select
        event_date,
        sum(row_count) as row_count,
        sum(cast(content_hash as decimal(38, 0))) as content
    from {{ ref('int_input_hashes') }}
    group by event_date
),

accounts as (
    select
        event_date,
        sum(row_count) as rows_in,
        sum(row_count) filter (where outcome = 'kept') as rows_kept,
        sum(row_count) filter (where outcome != 'kept') as rows_quarantined
    from {{ ref('int_row_accounts') }}
    where event_date is not null
    group by event_date
),

days as (
    select
        coalesce(day_hashes.event_date, accounts.event_date) as event_date,
        coalesce(day_hashes.row_count, 0) as row_count,
        coalesce(day_hashes.content, 0) as content,
        coalesce(accounts.rows_in, 0) as rows_in,
        coalesce(accounts.rows_kept, 0) as rows_kept,
        coalesce(accounts.rows_quarantined, 0) as rows_quarantined
    from day_hashes
    full outer join accounts on day_hashes.event_date = accounts.event_date
),

totals as (
    select
        event_date,
        sum(row_count) over (order by event_date) as row_count,
        sum(content) over (order by event_date) as content,
        sum(rows_in) over (order by event_date) as rows_in,
        sum(rows_kept) over (order by event_date) as rows_kept,
        sum(rows_quarantined) over (order by event_date) as rows_quarantined
    from days
),

final as (
    select
        event_date,
        concat(
            cast(cast(row_count as decimal(38, 0)) as string), ':', cast(cast(content as decimal(38, 0)) as string),
            ':', cast(cast(rows_quarantined as decimal(38, 0)) as string)
        ) as rows_hash,
        cast(rows_in as bigint) as rows_in,
        cast(rows_kept as bigint) as rows_kept,
        cast(rows_quarantined as bigint) as rows_quarantined
    from totals
)

select * from final
