-- Days whose order lines differ from what the facts were last built from; every day where the facts' logic changed.
{% set loaded = last_loaded('int_loaded_days') %}
with today as (
    select
        event_date as order_date,
        content_hash
    from {{ ref('int_input_hashes') }}
    where entity = 'order_lines'
),

loaded as (
    {% if loaded is not none %}
    select
        order_date,
        content_hash,
        facts_version
    from {{ loaded }}
    {% else %}
    select
        order_date,
        content_hash,
        '' as facts_version
    from today
    where 1 = 0
    {% endif %}
),

final as (
    select coalesce(today.order_date, loaded.order_date) as order_date
    from today
    full outer join loaded on today.order_date = loaded.order_date
    where
        today.order_date is null
        or loaded.order_date is null
        or today.content_hash != loaded.content_hash
        or loaded.facts_version != '{{ env_var("SEGMENTATION_FACTS_VERSION", "by hand") }}'
)

select * from final
