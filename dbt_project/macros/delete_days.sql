{#-
  Takes days out of the table of the model that calls it, as a pre-hook: the days for which `condition` is true.
  Parquet knows no delete. A day is a partition there, which goes whole, and which is replaced whole where it is written
  anew.
-#}
{% macro delete_days(date_column, condition) -%}
    {{ return(adapter.dispatch('delete_days', 'customer_segmentation')(date_column, condition)) }}
{%- endmacro %}

{% macro default__delete_days(date_column, condition) -%}
    delete from {{ this }}
    where {{ condition }}
{%- endmacro %}

{% macro spark__delete_days(date_column, condition) -%}
    {%- if execute -%}
        {%- set days = run_query(
            'select distinct cast(' ~ date_column ~ ' as string) as day from ' ~ this ~ ' where ' ~ condition
        ).columns[0].values() -%}
        {%- if days -%}
    alter table {{ this }} drop if exists
            {%- for day in days %} partition ({{ date_column }} = date '{{ day }}'){{ ',' if not loop.last }}{% endfor -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
