{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ delete_touched_accounts() }}",
) }}

-- Rows in = kept + set aside by reason, per entity and day. An entity without a time of its own has no event date.
with final as (
    {% for entity in checked_entities() %}
    {% set event_date = entity.event_date or 'cast(null as date)' %}
    select
        '{{ entity.name }}' as entity,
        {{ event_date }} as event_date,
        coalesce(quarantine_reason, 'kept') as outcome,
        count(*) as row_count
    from {{ ref('stg_' ~ entity.name ~ '_checked') }}
    {% if entity.event_date %}
    where {{ event_date }} is null or {{ in_touched_days(entity.name, event_date) }}
    {% endif %}
    group by
        {{ event_date }},
        coalesce(quarantine_reason, 'kept')
    {% if not loop.last %}
    union all
    {% endif %}
    {% endfor %}
)

select * from final
