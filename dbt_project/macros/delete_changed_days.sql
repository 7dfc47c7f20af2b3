{#- Takes the days that changed out of an incremental fact, in the transaction that then appends them anew. -#}
{% macro delete_changed_days() -%}
    {%- if is_incremental() -%}
    delete from {{ this }}
    where order_date in (select order_date from {{ ref('int_changed_days') }})
    {%- endif -%}
{%- endmacro %}

{#- The same for a fact of another entity. entity: as the hashes name it; day: the fact's column. -#}
{% macro delete_changed_event_days(entity, day) -%}
    {#- Named outside the condition, or dbt would not see that the fact comes after them. -#}
    {%- set changed_days = ref('int_changed_event_days') -%}
    {%- if is_incremental() -%}
    delete from {{ this }}
    where {{ day }} in (select event_date from {{ changed_days }} where entity = '{{ entity }}')
    {%- endif -%}
{%- endmacro %}

{#- The same for a fact by month, whose months are taken whole. -#}
{% macro delete_changed_months() -%}
    {%- if is_incremental() -%}
    delete from {{ this }}
    where {{ adapter.quote('month') }} in (select {{ month_of('order_date') }} from {{ ref('int_changed_days') }})
    {%- endif -%}
{%- endmacro %}

{#- The same for what became of orders, which is known by the day and depends on other days. -#}
{% macro delete_touched_order_event_days() -%}
    {%- set touched_days = ref('int_touched_order_event_days') -%}
    {%- if is_incremental() -%}
    delete from {{ this }}
    {%- if landed_files() is not none %}
    where event_date in (select event_date from {{ touched_days }})
    {%- endif %}
    {%- endif -%}
{%- endmacro %}
