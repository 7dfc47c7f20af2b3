select
    customer_segments.lens,
    customer_segments.customer_id,
    customer_segments.segment_id,
    segments.retired_as_of,
    segments.superseded_by
from {{ ref('customer_segments') }} as customer_segments
left join {{ ref('segments') }} as segments
    on
        customer_segments.lens = segments.lens
        and customer_segments.segment_id = segments.segment_id
where
    segments.segment_id is null
    or segments.retired_as_of <= customer_segments.as_of_date
    or segments.superseded_by is not null
