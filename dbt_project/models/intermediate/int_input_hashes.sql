-- What a run for D rests on, per entity and day: summed over the days before D, the content of the rows in scope.
{#-
  What happens on a day, each with the content that a run may see of it. What comes to be known later (a response, a
  payment) is an event of its own day: it must not touch the days before it.
-#}
{% set events = [
    {
        'entity': 'order_lines', 'model': 'stg_order_lines', 'event_date': 'order_date',
        'content': ['order_date', 'order_id', 'line_id', 'customer_id', 'product_id', 'department', 'category',
                    'is_private_label', 'item_count', 'gross_amount', 'discount_amount', 'net_amount',
                    'unit_cost_amount', 'is_subscription'],
    },
    {
        'entity': 'orders', 'model': 'stg_orders', 'event_date': 'order_date',
        'content': ['order_date', 'order_id', 'customer_id', 'channel', 'store_id', 'is_subscription'],
    },
    {
        'entity': 'order_events', 'model': 'stg_order_events', 'event_date': 'event_date',
        'content': ['event_date', 'event_id', 'order_id', 'line_id', 'event_type', 'quantity', 'amount'],
    },
    {
        'entity': 'products', 'model': 'stg_products', 'event_date': 'valid_from_date',
        'content': ['valid_from_date', 'product_id', 'department', 'category', 'brand', 'is_private_label',
                    'list_price_amount'],
    },
    {
        'entity': 'campaign_contacts', 'model': 'stg_campaign_contacts', 'event_date': 'contact_date',
        'content': ['contact_date', 'customer_id', 'campaign_id', 'channel'],
    },
    {
        'entity': 'campaign_responses', 'model': 'stg_campaign_contacts', 'event_date': 'response_date',
        'content': ['response_date', 'customer_id', 'campaign_id', 'channel', 'response'],
    },
    {
        'entity': 'market_indicators', 'model': 'stg_market_indicators', 'event_date': 'published_date',
        'content': ['published_at', 'indicator_month', 'indicator', 'category', 'entity',
                    double_text('indicator_value'), 'unit'],
    },
    {
        'entity': 'payments', 'model': 'stg_payments', 'event_date': 'due_date',
        'content': ['due_date', 'payment_id', 'order_id', 'customer_id', 'method', 'amount'],
    },
    {
        'entity': 'payments_paid', 'model': 'stg_payments', 'event_date': 'paid_event_date',
        'content': ['paid_date', 'payment_id', 'customer_id'],
    },
    {
        'entity': 'payments_failed', 'model': 'stg_payments', 'event_date': 'failed_event_date',
        'content': ['failed_date', 'payment_id', 'customer_id'],
    },
    {
        'entity': 'credit', 'model': 'stg_credit', 'event_date': 'credit_date',
        'content': ['credit_date', 'customer_id', 'limit_amount', 'balance_amount', 'external_score'],
    },
    {
        'entity': 'loyalty_events', 'model': 'stg_loyalty_events', 'event_date': 'event_date',
        'content': ['event_date', 'event_id', 'customer_id', 'event_type', 'occurred_at', 'points', 'tier'],
    },
    {
        'entity': 'web_events', 'model': 'stg_web_events', 'event_date': 'event_date',
        'content': ['event_date', 'event_id', 'session_id', 'customer_id', 'event_type', 'occurred_at', 'product_id',
                    'category', 'list_price_amount', 'device'],
    },
    {
        'entity': 'feedback', 'model': 'stg_feedback', 'event_date': 'event_date',
        'content': ['event_date', 'event_id', 'customer_id', 'feedback_type', 'score', 'score_scale', 'product_id'],
    },
] %}
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
    where {{ event.event_date }} is not null
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
