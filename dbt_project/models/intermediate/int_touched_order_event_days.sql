-- Days on which something may have become of orders otherwise than it was: those of the events that changed, and of all
-- events of their orders and of orders whose lines changed.
-- depends_on: {{ ref('stg_order_lines') }}
with events as (
    select * from {{ ref('stg_order_events') }}
),

{% if landed_files() is none %}
touched as (
    select event_date from events
),
{% else %}
touched as (
    select touched_date as event_date
    from pipeline.touched_days
    where entity = 'order_events' and touched_date is not null
    union all
    select event_date
    from events
    where
        event_type in ('returned', 'cancelled')
        and order_id in (
            select touched_key from pipeline.touched_keys where entity in ('order_events', 'order_lines')
        )
),
{% endif %}

final as (
    select distinct event_date
    from touched
)

select * from final
