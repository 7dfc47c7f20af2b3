-- Every row that was set aside, with the reason. `record_key` finds it in the landing.
with final as (
    {% for entity in checked_entities() %}
    select
        '{{ entity.name }}' as entity,
        quarantine_reason as reason,
        {{ row_content(entity.key) }} as record_key,
        unreadable_columns,
        {{ entity.event_date or 'valid_from_date' }} as event_date
    from {{ ref('stg_' ~ entity.name ~ '_checked') }}
    where quarantine_reason is not null
    {% if not loop.last %}
    union all
    {% endif %}
    {% endfor %}
)

select * from final
