{#- Days and months of dates. The adapter's own go by way of seconds and timestamps, which hides from Spark what is a date. -#}
{% macro spark__dateadd(datepart, interval, from_date_or_timestamp) -%}
    {%- set months = {'month': 1, 'quarter': 3, 'year': 12} -%}
    {%- if datepart in months -%}
    add_months(cast({{ from_date_or_timestamp }} as date), cast(({{ interval }}) * {{ months[datepart] }} as int))
    {%- elif datepart == 'day' -%}
    date_add(cast({{ from_date_or_timestamp }} as date), cast({{ interval }} as int))
    {%- else -%}
    {{ exceptions.raise_compiler_error('Models count in days, months and years, not in ' ~ datepart ~ 's.') }}
    {%- endif -%}
{%- endmacro %}

{% macro spark__datediff(first_date, second_date, datepart) -%}
    {%- if datepart == 'day' -%}
    datediff(cast({{ second_date }} as date), cast({{ first_date }} as date))
    {%- else -%}
    {{ exceptions.raise_compiler_error('Models count the days between two dates, not the ' ~ datepart ~ 's.') }}
    {%- endif -%}
{%- endmacro %}
