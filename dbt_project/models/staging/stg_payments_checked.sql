{{ config(
    materialized=checked_materialization(),
    incremental_strategy=checked_strategy(),
    unique_key=['payment_id'],
) }}

with payments as (
    select * from {{ ref('input_payments') }}
),

orders as (
    select * from {{ ref('stg_orders') }}
),

landed as (
    select
        {{ clean_text('payment_id') }} as payment_id,
        {{ clean_text('order_id') }} as order_id,
        {{ clean_text('customer_id') }} as payer_id,
        {{ clean_text('method') }} as method,
        due_at,
        {{ business_date('due_at') }} as stated_due_date,
        {{ business_date('paid_at') }} as paid_date,
        {{ business_date('failed_at') }} as failed_date,
        amount,
        ingested_at,
        unreadable_columns
    from payments
    {{ of_landed_files() }}
),

{{ landed_and_touched(
    key=['payment_id'],
    columns_added=['known_order_id', 'customer_id', 'due_date'],
    touched_by=['orders'],
) }},

joined as (
    select
        cleaned.*,
        orders.order_id as known_order_id,
        orders.customer_id,
        -- Before its order is placed nobody knows of a payment; without a known order it belongs to no day.
        case
            when cleaned.stated_due_date < orders.order_date then orders.order_date
            when cleaned.stated_due_date >= orders.order_date then cleaned.stated_due_date
        end as due_date
    from cleaned
    left join orders on cleaned.order_id = orders.order_id
),

checked as (
    select
        *,
        case
            when payment_id is null then 'payment_missing'
            when unreadable_columns != '' then 'value_unreadable'
            when order_id is null then 'order_missing'
            when due_at is null then 'date_missing'
            when not {{ is_possible_date('stated_due_date') }} then 'date_impossible'
            when paid_date is not null and not {{ is_possible_date('paid_date') }} then 'date_impossible'
            when failed_date is not null and not {{ is_possible_date('failed_date') }} then 'date_impossible'
            when known_order_id is null then 'order_unknown'
            when payer_id != customer_id then 'customer_mismatch'
            when amount is null then 'amount_missing'
            when amount < 0 then 'amount_negative'
            when amount >= {{ var('largest_line_amount') }} then 'amount_too_large'
        end as own_reason
    from joined
),

{{ copies_set_aside(
    'checked',
    key=['payment_id'],
    content=['due_at', 'order_id', 'payer_id', 'method', 'paid_date', 'failed_date', 'amount'],
    event_date='due_date',
) }}

select * from final
{{ in_order_of_days('due_date') }}
