-- Append after the hook has taken the changed days out: a day that lost its last row goes too.
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ delete_changed_event_days('web_events', 'session_date') }}",
) }}

with customer_events as (
    select * from {{ ref('int_customer_web_events') }}
),

final as (
    select
        customer_id,
        product_id,
        session_date,
        category,
        count(*) as view_count
    from customer_events
    where event_type = 'view' and product_id is not null
    group by
        customer_id,
        product_id,
        session_date,
        category
)

select * from final
order by
    session_date,
    customer_id,
    product_id
