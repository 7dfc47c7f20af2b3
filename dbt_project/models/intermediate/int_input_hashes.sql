-- What a run for D rests on, per entity and day: summed over the days before D, the content of the rows in scope.
with first_seen as (
    select * from {{ ref('int_customer_first_seen') }}
),

order_lines as (
    select
        'order_lines' as entity,
        order_date as event_date,
        {{ row_hash(['order_date', 'order_id', 'line_id', 'customer_id', 'product_id', 'department', 'category',
                     'is_private_label', 'item_count', 'gross_amount', 'discount_amount', 'net_amount',
                     'unit_cost_amount']) }} as content
    from {{ ref('stg_order_lines') }}
),

orders as (
    select
        'orders' as entity,
        order_date as event_date,
        {{ row_hash(['order_date', 'order_id', 'customer_id', 'channel', 'store_id', 'is_subscription']) }} as content
    from {{ ref('stg_orders') }}
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

-- A contact and its response are two events: the response must not touch the days before it.
contacts as (
    select
        'campaign_contacts' as entity,
        contact_date as event_date,
        {{ row_hash(['contact_date', 'customer_id', 'campaign_id', 'channel']) }} as content
    from {{ ref('stg_campaign_contacts') }}
),

responses as (
    select
        'campaign_responses' as entity,
        response_date as event_date,
        {{ row_hash(['response_date', 'customer_id', 'campaign_id', 'channel', 'response']) }} as content
    from {{ ref('stg_campaign_contacts') }}
    where response_date is not null
),

hashed as (
    select * from order_lines
    union all
    select * from orders
    union all
    select * from customers
    union all
    select * from contacts
    union all
    select * from responses
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
