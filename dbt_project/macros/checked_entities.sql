{#-
  The entities whose rows staging checks, in the order in which they are accounted for: the one list behind
  quarantine, the accounts of rows and their tests. event_date: the day that a row belongs to, as it is in
  `stg_<entity>_checked`, null for what has no time of its own; key: what finds a row in the landing; days: every day on
  which a row says something, where that is more than its own.
-#}
{% macro checked_entities() -%}
    {{ return([
        {'name': 'customers', 'event_date': none, 'key': ['customer_id', 'valid_from']},
        {'name': 'products', 'event_date': none, 'key': ['product_id', 'valid_from'], 'days': ['valid_from_date']},
        {'name': 'orders', 'event_date': 'order_date', 'key': ['order_id', 'customer_id']},
        {'name': 'order_lines', 'event_date': 'order_date', 'key': ['order_id', 'line_id', 'product_id']},
        {'name': 'order_events', 'event_date': 'event_date', 'key': ['event_id', 'order_id']},
        {
            'name': 'campaign_contacts', 'event_date': 'contact_date', 'key': ['customer_id', 'campaign_id', 'channel'],
            'days': ['contact_date', 'response_date'],
        },
        {
            'name': 'market_indicators', 'event_date': 'published_date',
            'key': ['indicator_month', 'indicator', 'category', 'entity', 'published_at'],
        },
        {
            'name': 'payments', 'event_date': 'due_date', 'key': ['payment_id', 'order_id'],
            'days': ['due_date', 'greatest(paid_date, due_date)', 'greatest(failed_date, due_date)'],
        },
        {'name': 'credit', 'event_date': 'credit_date', 'key': ['customer_id', 'credit_date']},
        {'name': 'loyalty_events', 'event_date': 'event_date', 'key': ['event_id', 'customer_id']},
        {'name': 'web_events', 'event_date': 'event_date', 'key': ['event_id', 'session_id']},
        {'name': 'feedback', 'event_date': 'event_date', 'key': ['event_id', 'customer_id']},
    ]) }}
{%- endmacro %}
