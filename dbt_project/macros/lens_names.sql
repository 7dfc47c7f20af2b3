{#- The lenses that run, by name, as a list. `segmentation build marts` states them. Unread while dbt parses, as the
  as-of dates are. -#}
{% macro lens_names() -%}
    {{ return((env_var('SEGMENTATION_LENS_NAMES', 'overall') if execute else 'overall').split(',')) }}
{%- endmacro %}
