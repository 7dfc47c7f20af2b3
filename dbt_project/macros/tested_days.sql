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

{#- The same for dbt's own tests of columns, as their `where`. Those see no macro but this one, so it is told all. -#}
{% macro duckdb__get_where_subquery(relation) -%}
    {%- set days = {
        'int_category_days': ['order_lines', 'order_date'],
        'int_customer_days': ['order_lines', 'order_date'],
        'int_customer_loyalty_days': ['loyalty_events', 'event_date'],
        'int_customer_product_days': ['order_lines', 'order_date'],
        'int_customer_session_days': ['web_events', 'session_date'],
        'int_customer_viewed_product_days': ['web_events', 'session_date'],
        'stg_credit': ['credit', 'credit_date'],
        'stg_feedback': ['feedback', 'event_date'],
        'stg_loyalty_events': ['loyalty_events', 'event_date'],
        'stg_order_events': ['order_events', 'event_date'],
        'stg_order_lines': ['order_lines', 'order_date'],
        'stg_orders': ['orders', 'order_date'],
        'stg_payments': ['payments', 'due_date'],
        'stg_web_events': ['web_events', 'event_date'],
    }.get(relation.identifier) -%}
    {%- set conditions = [config.get('where')] if config.get('where') else [] -%}
    {%- if execute and days and env_var('SEGMENTATION_LANDED_FILES', '') -%}
        {%- do conditions.append(
            days[1] ~ " in (select touched_date from pipeline.touched_days where entity = '" ~ days[0] ~ "')"
        ) -%}
    {%- endif -%}
    {%- if conditions -%}
        {{ return('(select * from ' ~ relation ~ ' where ' ~ conditions | join(' and ') ~ ') as dbt_subquery') }}
    {%- endif -%}
    {{ return(relation) }}
{%- endmacro %}
