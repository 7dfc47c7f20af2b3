{#-
  Takes away what a killed build left of tables on Spark: files in the place of a table that the metastore does not have.
  Spark refuses to create a table there, and knows no statement that deletes a folder, so the folder is made a database,
  which goes with all that is in it. Where every table stands this asks nothing.
-#}
{% macro sweep_unfinished_tables() -%}
    {{ return(adapter.dispatch('sweep_unfinished_tables', 'customer_segmentation')()) }}
{%- endmacro %}

{% macro default__sweep_unfinished_tables() -%}
{%- endmacro %}

{% macro spark__sweep_unfinished_tables() -%}
    {%- set missing = {} -%}
    {%- set found = [] -%}
    {%- if execute -%}
        {%- for name in selected_resources
            if name in graph.nodes and graph.nodes[name].config.materialized in ['table', 'incremental'] -%}
            {%- set node = graph.nodes[name] -%}
            {%- if adapter.get_relation(node.database, node.schema, node.alias) is none -%}
                {%- do missing.setdefault(node.schema, []).append(node.alias) -%}
            {%- else -%}
                {%- do found.append(node.schema) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {%- set sweeper = adapter.quote(layer_schema('unfinished')) -%}
    {%- for schema, tables in missing.items() -%}
        {%- if schema not in found and not run_query('show tables in ' ~ adapter.quote(schema)).rows | length -%}
            {#- Nothing stands there at all: a first build, or the first one was killed at its first table. -#}
            {%- do run_query('drop database if exists ' ~ adapter.quote(schema) ~ ' cascade') -%}
            {%- do run_query('create database if not exists ' ~ adapter.quote(schema)) -%}
        {%- else -%}
            {%- for row in run_query('describe database ' ~ adapter.quote(schema)) if row[0] == 'Location' -%}
                {%- for table in tables -%}
                    {%- do run_query('drop database if exists ' ~ sweeper ~ ' cascade') -%}
                    {%- do run_query("create database " ~ sweeper ~ " location '" ~ row[1] ~ '/' ~ table ~ "'") -%}
                    {%- do run_query('drop database if exists ' ~ sweeper ~ ' cascade') -%}
                {%- endfor -%}
            {%- endfor -%}
        {%- endif -%}
    {%- endfor -%}
{%- endmacro %}
