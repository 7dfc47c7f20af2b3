{#- A model's schema is the layer's name, without the target's name in front: BI and the job know layers. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name or target.schema }}
{%- endmacro %}
