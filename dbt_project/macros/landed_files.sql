{#-
  The files that have landed since the facts were last built, as whole paths, where the facts can be brought up to
  date from them alone; none where everything is read again. `segmentation build facts` decides which, by comparing the
  landing with the one that it recorded. While dbt parses it stays unread, as the as-of dates do.
-#}
{% macro landed_files() -%}
    {%- set files = env_var('SEGMENTATION_LANDED_FILES', '') if execute and target.type == 'duckdb' else '' -%}
    {{ return(fromjson(files) if files else none) }}
{%- endmacro %}

{#- Whether a model that holds rows already takes up what has landed since, instead of reading all again. -#}
{% macro takes_up_landed_files() -%}
    {{ return(landed_files() is not none and is_incremental()) }}
{%- endmacro %}

{#- The condition that leaves of an input the rows of new files alone, where only those are read. -#}
{% macro of_landed_files() -%}
    {%- if takes_up_landed_files() %}
    where landing_file in (
        {%- for file in landed_files() -%}
        '{{ file | replace("'", "''") }}'{{ ', ' if not loop.last }}
        {%- else -%}
        ''
        {%- endfor -%}
    )
    {%- endif -%}
{%- endmacro %}
