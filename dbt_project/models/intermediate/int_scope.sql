{{ config(materialized='ephemeral') }}

select
    as_of_dates.as_of_date,
    first_seen.customer_id,
    first_seen.first_seen_date,
    cast(
        {{ dbt.datediff('first_seen.first_seen_date', 'as_of_dates.as_of_date', 'day') }}
        as integer
    ) as tenure_days,
    -- How many of the twelve 30-day windows before the as-of date the customer has lived through.
    cast(
        least(
            12,
            ceil({{ ratio(dbt.datediff('first_seen.first_seen_date', 'as_of_dates.as_of_date', 'day'), 30) }})
        ) as integer
    ) as lived_window_count
from {{ ref('int_as_of_dates') }} as as_of_dates
inner join {{ ref('int_customer_first_seen') }} as first_seen
    on first_seen.first_seen_date < as_of_dates.as_of_date
