-- Whatever the attribute, the customers of a segment are as many.
with attributes as (
    select
        as_of_date,
        lens,
        segment_id,
        attribute,
        sum(customer_count) as customer_count
    from {{ ref('demographic_distribution') }}
    group by
        as_of_date,
        lens,
        segment_id,
        attribute
)

select
    as_of_date,
    lens,
    segment_id,
    min(customer_count) as fewest_customers,
    max(customer_count) as most_customers
from attributes
group by
    as_of_date,
    lens,
    segment_id
having min(customer_count) != max(customer_count)
