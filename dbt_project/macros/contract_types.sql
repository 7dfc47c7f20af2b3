{#- A contract's types as Spark writes them, where it has another word: a list of doubles. -#}
{% macro spark__get_empty_schema_sql(columns) -%}
    select
    {%- for column in columns.values() %}
    {{ cast('null', column.data_type | replace('double[]', 'array<double>')) }} as {{ column.name }}
    {{- ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}
