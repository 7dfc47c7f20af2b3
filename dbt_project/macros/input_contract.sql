{#-
  Maps a relation onto the input contract of the model that calls it. `columns` gives, for each contract column that
  the source has, an SQL expression over `relation`; every other column of the contract becomes a typed null.
  A value that is there but cannot be read as the contract's type is named in `unreadable_columns`, so that staging
  can set its row aside instead of losing the value. So is an id with a line break or a NUL in it: it is what is left of
  several rows between two quotes.
-#}
{% macro map_to_contract(relation, columns) -%}
    {%- set contract = model.columns -%}
    {%- if execute -%}
        {%- for name in columns if name not in contract -%}
            {{ exceptions.raise_compiler_error(
                model.name ~ ": '" ~ name ~ "' is no column of the input contract. It has: "
                ~ (contract.keys() | reject('in', ['unreadable_columns', 'landing_file']) | join(', '))
                ~ ". Mend the name in the mapping, or leave the column out.") }}
        {%- endfor -%}
    {%- endif %}
select
    {%- for column in contract.values() if column.name not in ('unreadable_columns', 'landing_file') %}
    {%- if column.name in columns %}
    {{ as_contract_type(columns[column.name], column.data_type) }} as {{ column.name }},
    {%- else %}
    cast(null as {{ column.data_type }}) as {{ column.name }},
    {%- endif %}
    {%- endfor %}
    concat_ws(
        ','
        {%- for column in contract.values() if column.name in columns and column.name.endswith('_id') %},
        case
            when
                translate(cast({{ columns[column.name] }} as string), concat(chr(0), chr(10), chr(13)), '')
                != cast({{ columns[column.name] }} as string)
                then '{{ column.name }}'
        end
        {%- endfor %}
        {%- for column in contract.values() if column.name in columns and column.data_type != 'string' %},
        case
            when {{ columns[column.name] }} is not null
                and {{ as_contract_type(columns[column.name], column.data_type) }} is null
                then '{{ column.name }}'
        end
        {%- endfor %}
    ) as unreadable_columns,
    {{ landing_file_of(relation) }} as landing_file
from {{ relation }}
{%- endmacro %}


{#- The file that a row of a landing table was read from; null where the rows of several are put together. -#}
{% macro landing_file_of(relation) -%}
    {{ return(adapter.dispatch('landing_file_of', 'customer_segmentation')(relation)) }}
{%- endmacro %}

{% macro default__landing_file_of(relation) -%}
    cast(null as string)
{%- endmacro %}

{% macro duckdb__landing_file_of(relation) -%}
    {{ 'filename' if relation is not string and relation.external and relation.limit is none else 'cast(null as string)' }}
{%- endmacro %}


{#- A value of the source as the contract's type; null where it cannot be read as that. -#}
{% macro as_contract_type(expression, data_type) -%}
    {%- if data_type | lower == 'timestamp' -%}
    {{ as_moment(expression) }}
    {%- else -%}
    {{ as_value(expression, data_type) }}
    {%- endif -%}
{%- endmacro %}

{% macro as_value(expression, data_type) -%}
    {{ return(adapter.dispatch('as_value', 'customer_segmentation')(expression, data_type)) }}
{%- endmacro %}

{% macro default__as_value(expression, data_type) -%}
    try_cast({{ expression }} as {{ data_type }})
{%- endmacro %}

{#- As DuckDB reads text: '3.0' is a whole number, 2020/01/05 is a date, and a year is none. -#}
{% macro spark__as_value(expression, data_type) -%}
    {%- if data_type | lower in ['integer', 'int', 'bigint'] -%}
    try_cast(round(try_cast({{ expression }} as decimal(38, 10))) as {{ data_type }})
    {%- elif data_type | lower == 'date' -%}
    {{ spark_day_of_text(expression, 'date') }}
    {%- else -%}
    try_cast({{ expression }} as {{ data_type }})
    {%- endif -%}
{%- endmacro %}

{#- What text names with a whole date in front, as a date or a timestamp. typeof is known before a row is read. -#}
{% macro spark_day_of_text(expression, data_type) -%}
    case
        when typeof({{ expression }}) != 'string' then try_cast({{ expression }} as {{ data_type }})
        when cast({{ expression }} as string) rlike '^ *[0-9]+[-/][0-9]{1,2}[-/][0-9]{1,2}'
            then try_cast(regexp_replace(
                cast({{ expression }} as string), '^( *[0-9]+)/([0-9]{1,2})/', '$1-$2-'
            ) as {{ data_type }})
    end
{%- endmacro %}


{#- A moment in UTC. Text may end in an offset, which a plain cast passes over in DuckDB; without one it is UTC. -#}
{% macro as_moment(expression) -%}
    {{ return(adapter.dispatch('as_moment', 'customer_segmentation')(expression)) }}
{%- endmacro %}

{% macro duckdb__as_moment(expression) -%}
    case
        when typeof({{ expression }}) = 'VARCHAR'
            then try_cast(try_cast({{ expression }} as timestamptz) as timestamp)
        else try_cast({{ expression }} as timestamp)
    end
{%- endmacro %}

{% macro spark__as_moment(expression) -%}
    {{ spark_day_of_text(expression, 'timestamp') }}
{%- endmacro %}


{#- An entity that the source does not have: no rows, the contract's columns. -#}
{% macro absent_entity() -%}
select
    {%- for column in model.columns.values() %}
    cast(null as {{ column.data_type }}) as {{ column.name }}{{ ',' if not loop.last }}
    {%- endfor %}
where 1 = 0
{%- endmacro %}
