{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ delete_touched_order_event_days() }}",
) }}

-- A return is worth what it says; where it says nothing, the whole line, or the whole order where it names no line.
with touched_days as (
    select * from {{ ref('int_touched_order_event_days') }}
),

-- All that became of the orders to which something happened on these days: on which of them it did so first is a
-- question to all days.
events as (
    select *
    from {{ ref('stg_order_events') }}
    where
        event_type in ('returned', 'cancelled')
        and order_id in (
            select day_events.order_id
            from {{ ref('stg_order_events') }} as day_events
            inner join touched_days on day_events.event_date = touched_days.event_date
            where day_events.event_type in ('returned', 'cancelled')
        )
),

-- The orders with returns alone: what else was bought is not needed here.
orders_with_returns as (
    select distinct order_id
    from events
    where event_type = 'returned'
),

bought_lines as (
    select
        lines.order_id,
        lines.line_id,
        lines.item_count,
        lines.net_amount
    from {{ ref('stg_order_lines') }} as lines
    inner join orders_with_returns on lines.order_id = orders_with_returns.order_id
),

bought_orders as (
    select
        order_id,
        sum(item_count) as item_count,
        sum(net_amount) as net_amount
    from bought_lines
    group by order_id
),

returned as (
    select
        events.customer_id,
        events.event_date,
        cast(floor(events.quantity) as bigint) as stated_count,
        events.amount as stated_amount,
        coalesce(bought_lines.item_count, bought_orders.item_count) as bought_count,
        coalesce(bought_lines.net_amount, bought_orders.net_amount) as bought_amount
    from events
    left join bought_lines
        on
            events.order_id = bought_lines.order_id
            and events.line_id = bought_lines.line_id
    left join bought_orders
        on
            events.order_id = bought_orders.order_id
            and events.line_id is null
    where events.event_type = 'returned'
),

-- Of a line that was set aside nothing counts as bought, so nothing as returned.
counted as (
    select
        *,
        least(coalesce(stated_count, bought_count), bought_count) as returned_item_count
    from returned
    where bought_count is not null
),

valued as (
    select
        customer_id,
        event_date,
        returned_item_count,
        coalesce(stated_amount, {{ money_ratio('bought_amount * returned_item_count', 'bought_count') }})
            as returned_amount,
        0 as cancelled_order_count
    from counted
),

-- An order that is cancelled line by line is one order, cancelled on the first of these days.
cancelled as (
    select
        customer_id,
        order_id,
        min(event_date) as event_date
    from events
    where event_type = 'cancelled'
    group by
        customer_id,
        order_id
),

happened as (
    select * from valued
    union all
    select
        customer_id,
        event_date,
        0 as returned_item_count,
        0 as returned_amount,
        1 as cancelled_order_count
    from cancelled
),

final as (
    select
        customer_id,
        event_date,
        cast(sum(returned_item_count) as bigint) as returned_item_count,
        cast(sum(returned_amount) as decimal(18, 2)) as returned_amount,
        cast(sum(cancelled_order_count) as bigint) as cancelled_order_count
    from happened
    where event_date in (select touched_days.event_date from touched_days)
    group by
        customer_id,
        event_date
)

select * from final
