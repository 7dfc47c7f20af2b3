with current_segments as (
    select * from {{ ref('customer_segments') }}
),

-- A lens that is no more keeps its history, and has no current segments.
lenses as (
    select distinct lens from current_segments
),

open_intervals as (
    select history.*
    from {{ ref('customer_segment_history') }} as history
    inner join lenses on history.lens = lenses.lens
    where
        history.valid_to is null
        and history.change_cause != 'left'
)

select
    coalesce(current_segments.lens, open_intervals.lens) as lens,
    coalesce(current_segments.customer_id, open_intervals.customer_id) as customer_id,
    current_segments.segment_id as current_segment_id,
    open_intervals.segment_id as segment_id_in_history
from current_segments
full outer join open_intervals
    on
        current_segments.lens = open_intervals.lens
        and current_segments.customer_id = open_intervals.customer_id
where
    current_segments.customer_id is null
    or open_intervals.customer_id is null
    or current_segments.segment_id != open_intervals.segment_id
    or current_segments.segment_since != open_intervals.valid_from
