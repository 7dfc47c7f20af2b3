{#-
  The last two steps of every `stg_<entity>_checked`: of the rows with one key one stands, the others are duplicates.
  A good row stands before a bad copy, then the earliest, so that a later copy can never change the past, then the
  one that became known last. checked: the CTE with `own_reason`; key: what makes rows copies of one another;
  content: what tells copies apart, so that the choice is the same on every engine; event_date: the day of the row,
  none where it is part of the key or the entity has no time of its own.
-#}
{% macro copies_set_aside(checked, key, content, event_date=none) -%}
numbered as (
    select
        *,
        row_number() over (
            partition by {{ key | join(', ') }}
            order by
                case when own_reason is null then 0 else 1 end,
                {%- if event_date %}
                {{ event_date }} asc nulls last,
                {%- endif %}
                ingested_at desc nulls last,
                {{ row_content(content) }}
        ) as copy_number
    from {{ checked }}
),

final as (
    select
        *,
        coalesce(own_reason, case when copy_number > 1 then 'duplicate' end) as quarantine_reason
    from numbered
)
{%- endmacro %}
