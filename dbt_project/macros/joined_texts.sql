{% macro joined_texts(column) -%}
    {#- The texts of a group in one, sorted, with commas between them. -#}
    {{ return(adapter.dispatch('joined_texts')(column)) }}
{%- endmacro %}

{% macro default__joined_texts(column) -%}
    string_agg({{ column }}, ', ' order by {{ column }})
{%- endmacro %}

{% macro spark__joined_texts(column) -%}
    array_join(array_sort(collect_list({{ column }})), ', ')
{%- endmacro %}
