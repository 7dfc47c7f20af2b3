{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ delete_touched_hashes() }}",
) }}

-- What a run for D rests on, per entity and day: summed over the days before D, the content of the rows in scope.
{% set events = hashed_events() %}
with first_seen as (
    select * from {{ ref('int_customer_first_seen') }}
),

-- A version counts from the later of its own first day and the customer's.
customers as (
    select
        'customers' as entity,
        greatest(
            first_seen.first_seen_date, coalesce(stg_customers.valid_from_date, first_seen.first_seen_date)
        ) as event_date,
        {{ row_hash(['stg_customers.customer_id', 'first_seen_date', 'valid_from_date', 'signup_date', 'birth_date',
                     'age_band', 'gender', 'income_amount', 'income_band', 'country', 'region', 'city', 'postal_code',
                     'language', 'ethnicity', 'household_size', 'marital_status', 'education', 'acquisition_channel']) }} as content
    from {{ ref('stg_customers') }} as stg_customers
    inner join first_seen on stg_customers.customer_id = first_seen.customer_id
),

hashed as (
    select * from customers
    {% for event in events %}
    union all
    select
        '{{ event.entity }}' as entity,
        {{ event.event_date }} as event_date,
        {{ row_hash(event.content) }} as content
    from {{ ref(event.model) }}
    where
        {{ event.event_date }} is not null
        and {{ in_touched_days(event.model | replace('stg_', ''), event.event_date) }}
    {% endfor %}
),

final as (
    select
        entity,
        event_date,
        count(*) as row_count,
        cast(sum(cast(content as decimal(38, 0))) as string) as content_hash
    from hashed
    group by
        entity,
        event_date
)

select * from final
