-- Rows in = kept + set aside by reason, per entity and day. An entity without a time of its own has no event date.
{% set entities = [
    ('customers', 'stg_customers_checked', 'cast(null as date)'),
    ('products', 'stg_products_checked', 'cast(null as date)'),
    ('orders', 'stg_orders_checked', 'order_date'),
    ('order_lines', 'stg_order_lines_checked', 'order_date'),
    ('campaign_contacts', 'stg_campaign_contacts_checked', 'contact_date'),
] %}
with final as (
    {% for entity, model_name, event_date in entities %}
    select
        '{{ entity }}' as entity,
        {{ event_date }} as event_date,
        coalesce(quarantine_reason, 'kept') as outcome,
        count(*) as row_count
    from {{ ref(model_name) }}
    group by
        {{ event_date }},
        coalesce(quarantine_reason, 'kept')
    {% if not loop.last %}
    union all
    {% endif %}
    {% endfor %}
)

select * from final
