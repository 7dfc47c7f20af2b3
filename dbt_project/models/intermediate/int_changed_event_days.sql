-- As int_changed_days, of the other entities from which facts are built by the day.
{% set loaded = last_loaded('int_loaded_event_days') %}
with today as (
    select
        entity,
        event_date,
        content_hash
    from {{ ref('int_input_hashes') }}
    where entity in ('loyalty_events', 'web_events')
),

loaded as (
    {% if loaded is not none %}
    select
        entity,
        event_date,
        content_hash,
        facts_version
    from {{ loaded }}
    {% else %}
    select
        entity,
        event_date,
        content_hash,
        '' as facts_version
    from today
    where 1 = 0
    {% endif %}
),

final as (
    select
        coalesce(today.entity, loaded.entity) as entity,
        coalesce(today.event_date, loaded.event_date) as event_date
    from today
    full outer join loaded
        on
            today.entity = loaded.entity
            and today.event_date = loaded.event_date
    where
        today.event_date is null
        or loaded.event_date is null
        or today.content_hash != loaded.content_hash
        or loaded.facts_version != '{{ env_var("SEGMENTATION_FACTS_VERSION", "by hand") }}'
)

select * from final
