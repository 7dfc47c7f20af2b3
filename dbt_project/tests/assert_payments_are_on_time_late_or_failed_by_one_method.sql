with methods as (
    select
        as_of_date,
        lens,
        segment_id,
        count(*) as method_count,
        count(distinct method) as distinct_count,
        sum(payment_count) as payment_count,
        sum(cast(payment_share as decimal(18, 6))) as payment_share,
        -- Each share is rounded by itself.
        count(*) filter (where abs(on_time_share + late_share + failed_share - 1) > 0.000002) as incomplete_count
    from {{ ref('payment_habits') }}
    group by
        as_of_date,
        lens,
        segment_id
)

select *
from methods
where
    method_count != distinct_count
    or abs(payment_share - 1) > 0.000001 * method_count
    or incomplete_count > 0
