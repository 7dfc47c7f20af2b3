{#- The lenses that run, by name, as a list. `segmentation build marts` states them. -#}
{% macro lens_names() -%}
    {{ return(env_var('SEGMENTATION_LENS_NAMES', 'overall').split(',')) }}
{%- endmacro %}
