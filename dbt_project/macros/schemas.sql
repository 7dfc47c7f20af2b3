{#- A model's schema is the layer's name, without the target's name in front: BI and the job know layers. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ layer_schema(custom_schema_name) if custom_schema_name else target.schema }}
{%- endmacro %}


{#- The schema that holds a layer of this source. A metastore holds several sources, a DuckDB file one. -#}
{% macro layer_schema(layer) -%}
    {{ return(adapter.dispatch('layer_schema', 'customer_segmentation')(layer)) }}
{%- endmacro %}

{% macro default__layer_schema(layer) -%}
    {{ return(layer) }}
{%- endmacro %}

{% macro spark__layer_schema(layer) -%}
    {{ return(target.schema ~ '_' ~ layer) }}
{%- endmacro %}
