{#- The as-of dates that this run computes, as a list of ISO dates. `segmentation build` states them. While dbt parses
  they stay unread: what was parsed with other dates would have to be parsed anew. -#}
{% macro as_of_dates() -%}
    {{ return((env_var('SEGMENTATION_AS_OF_DATES', '1900-01-01') if execute else '1900-01-01').split(',')) }}
{%- endmacro %}
