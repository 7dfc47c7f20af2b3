{#- A view keeps the paths of the files that it reads, as they are written. The steps give dbt a path that is relative to
  the folder in which it runs; a view gets the whole one, for who reads it runs elsewhere. -#}
{% macro duckdb__get_create_view_as_sql(relation, sql) -%}
    {%- set data_dir = env_var('SEGMENTATION_DATA_DIR_OF_VIEWS', '') -%}
    {{ return(create_view_as(relation, sql | replace("'../", "'" ~ data_dir ~ "/") if data_dir else sql)) }}
{%- endmacro %}
