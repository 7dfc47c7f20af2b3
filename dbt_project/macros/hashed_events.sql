{#-
  What happens on a day, each with the content that a run may see of it. What comes to be known later (a response, a
  payment) is an event of its own day: it must not touch the days before it. One entity of the hashes is one here; the
  model says whose rows they are.
-#}
{% macro hashed_events() -%}
    {{ return([
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
]) }}
{%- endmacro %}


{#- Takes out the hashes that are summed up anew: of the touched days, and all of entities without a day of their own. -#}
{% macro delete_touched_hashes() -%}
    {%- if is_incremental() -%}
    delete from {{ this }} as hashes
    {%- if landed_files() is not none %}
    where
        entity = 'customers'
        {%- for event in hashed_events() %}
        or (entity = '{{ event.entity }}' and {{ in_touched_days(event.model | replace('stg_', ''), 'hashes.event_date') }})
        {%- endfor %}
    {%- endif %}
    {%- endif -%}
{%- endmacro %}


{#- Takes out the accounts that are counted anew: of the touched days, and all of entities without a day of their own. -#}
{% macro delete_touched_accounts() -%}
    {%- if is_incremental() -%}
    delete from {{ this }} as accounts
    {%- if landed_files() is not none %}
    where
        {%- for entity in checked_entities() %}
        {{ 'or ' if not loop.first }}(
            entity = '{{ entity.name }}'
            {%- if entity.event_date %}
            and (accounts.event_date is null or {{ in_touched_days(entity.name, 'accounts.event_date') }})
            {%- endif %}
        )
        {%- endfor %}
    {%- endif %}
    {%- endif -%}
{%- endmacro %}
