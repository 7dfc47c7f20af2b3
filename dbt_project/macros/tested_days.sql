{#-
  What a data test looks at: all rows, or, where only new files were read, those of the days that these have touched. The
  other days are what they were when they were tested.
-#}
{% macro of_tested_days(entity, day) -%}
    {%- if landed_files() is none -%}
    1 = 1
    {%- else -%}
    {{ day }} in (select touched_date from pipeline.touched_days where entity = '{{ entity }}')
    {%- endif -%}
{%- endmacro %}

{#- The same for dbt's own tests of columns, as their `where`. -#}
{% macro duckdb__get_where_subquery(relation) -%}
    {%- set tested = tested_tables().get(relation.identifier) -%}
    {%- set conditions = [config.get('where', '')] if config.get('where', '') else [] -%}
    {%- if landed_files() is not none and tested -%}
        {%- do conditions.append(of_tested_days(tested[0], tested[1])) -%}
    {%- endif -%}
    {%- if conditions -%}
        {{ return('(select * from ' ~ relation ~ ' where ' ~ conditions | join(' and ') ~ ') as dbt_subquery') }}
    {%- endif -%}
    {{ return(relation) }}
{%- endmacro %}

{#- Of each table that grows by the day whose days they are, and its column with the day. -#}
{% macro tested_tables() -%}
    {%- set tables = {
        'int_customer_days': ['order_lines', 'order_date'],
        'int_customer_product_days': ['order_lines', 'order_date'],
        'int_category_days': ['order_lines', 'order_date'],
        'int_customer_loyalty_days': ['loyalty_events', 'event_date'],
        'int_customer_session_days': ['web_events', 'session_date'],
        'int_customer_viewed_product_days': ['web_events', 'session_date'],
    } -%}
    {%- for entity in checked_entities() if entity.event_date -%}
        {%- do tables.update({'stg_' ~ entity.name: [entity.name, entity.event_date]}) -%}
    {%- endfor -%}
    {{ return(tables) }}
{%- endmacro %}
