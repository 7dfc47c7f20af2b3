-- Every row that was set aside, with the reason. `record_key` finds it in the landing.
with final as (
    select
        'customers' as entity,
        quarantine_reason as reason,
        {{ row_content(['customer_id', 'valid_from']) }} as record_key,
        unreadable_columns,
        valid_from_date as event_date
    from {{ ref('stg_customers_checked') }}
    where quarantine_reason is not null
    union all
    select
        'products' as entity,
        quarantine_reason as reason,
        {{ row_content(['product_id', 'valid_from']) }} as record_key,
        unreadable_columns,
        valid_from_date as event_date
    from {{ ref('stg_products_checked') }}
    where quarantine_reason is not null
    union all
    select
        'orders' as entity,
        quarantine_reason as reason,
        {{ row_content(['order_id', 'customer_id']) }} as record_key,
        unreadable_columns,
        order_date as event_date
    from {{ ref('stg_orders_checked') }}
    where quarantine_reason is not null
    union all
    select
        'order_lines' as entity,
        quarantine_reason as reason,
        {{ row_content(['order_id', 'line_id', 'product_id']) }} as record_key,
        unreadable_columns,
        order_date as event_date
    from {{ ref('stg_order_lines_checked') }}
    where quarantine_reason is not null
    union all
    select
        'campaign_contacts' as entity,
        quarantine_reason as reason,
        {{ row_content(['customer_id', 'campaign_id', 'channel']) }} as record_key,
        unreadable_columns,
        contact_date as event_date
    from {{ ref('stg_campaign_contacts_checked') }}
    where quarantine_reason is not null
)

select * from final
