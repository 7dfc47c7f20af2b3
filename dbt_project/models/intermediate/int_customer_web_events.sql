{{ config(materialized='view') }}

with events as (
    select stg_web_events.*
    from {{ ref('stg_web_events') }} as stg_web_events
    inner join {{ ref('int_changed_event_days') }} as changed_days
        on
            stg_web_events.event_date = changed_days.event_date
            and changed_days.entity = 'web_events'
),

session_customers as (
    select
        session_id,
        event_date,
        customer_id,
        row_number() over (
            partition by session_id, event_date
            order by min(occurred_at) asc, customer_id asc
        ) as customer_rank
    from events
    where customer_id is not null
    group by
        session_id,
        event_date,
        customer_id
),

-- What was done before the login belongs to who logs in first on that day. Where nobody does, it is nobody's.
final as (
    select
        coalesce(events.customer_id, session_customers.customer_id) as customer_id,
        events.session_id,
        events.event_date as session_date,
        events.event_id,
        events.event_type,
        events.occurred_at,
        events.product_id,
        events.category,
        events.list_price_amount,
        events.device
    from events
    inner join session_customers
        on
            events.session_id = session_customers.session_id
            and events.event_date = session_customers.event_date
            and session_customers.customer_rank = 1
)

select * from final
