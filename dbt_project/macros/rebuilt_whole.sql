{#-
  What grows by the day in DuckDB's file is rebuilt whole on Spark, unless it is partitioned by what grows: Parquet has no
  delete, and a partition for each day of history costs more than it saves. These two take the place of dbt's own.
-#}
{% macro is_incremental() -%}
    {%- if not execute or is_rebuilt_whole() -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set relation = adapter.get_relation(this.database, this.schema, this.table) -%}
    {{ return(
        relation is not none
        and relation.type == 'table'
        and model.config.materialized == 'incremental'
        and not should_full_refresh()
    ) }}
{%- endmacro %}

{% macro should_full_refresh() -%}
    {%- set configured = config.get('full_refresh') -%}
    {%- set wanted = flags.FULL_REFRESH if configured is none else configured -%}
    {{ return(wanted or is_rebuilt_whole()) }}
{%- endmacro %}

{% macro is_rebuilt_whole() -%}
    {{ return(target.type == 'spark' and not config.get('partition_by')) }}
{%- endmacro %}


{#- The table that says from what the facts were built last; none where they are rebuilt whole, from every day. -#}
{% macro last_loaded(name) -%}
    {%- if target.type == 'spark' or flags.FULL_REFRESH -%}
        {{ return(none) }}
    {%- endif -%}
    {{ return(adapter.get_relation(this.database, this.schema, name)) }}
{%- endmacro %}
