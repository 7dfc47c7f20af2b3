-- A row is of at least ten people of the segment, and of a group of at least ten of all customers.
select
    disparity.as_of_date,
    disparity.lens,
    disparity.segment_id,
    disparity.attribute,
    disparity.attribute_value
from {{ ref('demographic_disparity') }} as disparity
left join {{ ref('demographic_distribution') }} as distribution
    on
        disparity.as_of_date = distribution.as_of_date
        and disparity.attribute = distribution.attribute
        and disparity.attribute_value = distribution.attribute_value
        and distribution.lens = 'all'
where
    disparity.customer_count < 10
    or coalesce(distribution.customer_count, 0) < 10
