-- Append after the hook has taken the changed days out: a day that lost its last row goes too.
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ delete_changed_event_days('web_events', 'session_date') }}",
) }}

with customer_events as (
    select * from {{ ref('int_customer_web_events') }}
),

session_days as (
    select
        customer_id,
        session_id,
        session_date,
        count(*) as event_count,
        count(*) filter (where event_type = 'view') as view_count,
        count(*) filter (where event_type = 'search') as search_count,
        count(*) filter (where event_type = 'add_to_cart') as cart_addition_count,
        count(*) filter (where event_type = 'checkout') as checkout_count,
        count(*) filter (where event_type = 'purchase') as purchase_count
    from customer_events
    group by
        customer_id,
        session_id,
        session_date
),

devices as (
    select
        customer_id,
        session_id,
        session_date,
        device,
        row_number() over (
            partition by customer_id, session_id, session_date
            order by count(*) desc, device asc
        ) as device_rank
    from customer_events
    where device is not null
    group by
        customer_id,
        session_id,
        session_date,
        device
),

-- What last happened to a product in the cart says whether it was left there.
cart_products as (
    select
        customer_id,
        session_id,
        session_date,
        event_type,
        list_price_amount,
        row_number() over (
            partition by customer_id, session_id, session_date, product_id
            order by occurred_at desc, event_id desc
        ) as event_rank
    from customer_events
    where event_type in ('add_to_cart', 'remove_from_cart')
),

carts as (
    select
        customer_id,
        session_id,
        session_date,
        sum(list_price_amount) as cart_amount
    from cart_products
    where event_rank = 1 and event_type = 'add_to_cart'
    group by
        customer_id,
        session_id,
        session_date
),

final as (
    select
        session_days.customer_id,
        session_days.session_id,
        session_days.session_date,
        devices.device,
        session_days.event_count,
        session_days.view_count,
        session_days.search_count,
        session_days.cart_addition_count > 0 as has_cart,
        session_days.checkout_count > 0 as has_checkout,
        session_days.purchase_count > 0 as has_purchase,
        session_days.cart_addition_count > 0 and session_days.purchase_count = 0 as is_abandoned,
        cast(
            case
                when session_days.cart_addition_count > 0 and session_days.purchase_count = 0
                    then coalesce(carts.cart_amount, 0)
                else 0
            end as decimal(18, 2)
        ) as abandoned_amount
    from session_days
    left join devices
        on
            session_days.customer_id = devices.customer_id
            and session_days.session_id = devices.session_id
            and session_days.session_date = devices.session_date
            and devices.device_rank = 1
    left join carts
        on
            session_days.customer_id = carts.customer_id
            and session_days.session_id = carts.session_id
            and session_days.session_date = carts.session_date
)

select * from final
order by
    session_date,
    customer_id,
    session_id
