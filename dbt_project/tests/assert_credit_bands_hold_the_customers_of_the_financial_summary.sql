with bands as (
    select
        as_of_date,
        lens,
        segment_id,
        sum(customer_count) as customer_count,
        sum(cast(customer_share as decimal(18, 6))) as customer_share,
        count(*) as band_count
    from {{ ref('credit_risk_bands') }}
    group by
        as_of_date,
        lens,
        segment_id
),

credit_dates as (
    select distinct as_of_date from bands
),

summary as (
    select financial_summary.*
    from {{ ref('financial_summary') }} as financial_summary
    inner join credit_dates on financial_summary.as_of_date = credit_dates.as_of_date
)

select
    coalesce(summary.as_of_date, bands.as_of_date) as as_of_date,
    coalesce(summary.segment_id, bands.segment_id) as segment_id,
    summary.customer_count as customer_count_of_summary,
    bands.customer_count as customer_count_of_bands
from summary
full outer join bands
    on
        summary.as_of_date = bands.as_of_date
        and summary.lens = bands.lens
        and summary.segment_id = bands.segment_id
where
    summary.as_of_date is null
    or bands.as_of_date is null
    or summary.customer_count != bands.customer_count
    -- Each share is rounded by itself.
    or abs(bands.customer_share - 1) > 0.000001 * bands.band_count
