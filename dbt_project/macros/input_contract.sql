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
                ~ (contract.keys() | reject('equalto', 'unreadable_columns') | join(', '))
                ~ ". Mend the name in the mapping, or leave the column out.") }}
        {%- endfor -%}
    {%- endif %}
select
    {%- for column in contract.values() if column.name != 'unreadable_columns' %}
    {%- if column.name in columns %}
    try_cast({{ columns[column.name] }} as {{ column.data_type }}) as {{ column.name }},
    {%- else %}
    cast(null as {{ column.data_type }}) as {{ column.name }},
    {%- endif %}
    {%- endfor %}
    concat_ws(
        ','
        {%- for column in contract.values()
            if column.name in columns and column.data_type == 'string' and column.name.endswith('_id') %},
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
                and try_cast({{ columns[column.name] }} as {{ column.data_type }}) is null
                then '{{ column.name }}'
        end
        {%- endfor %}
    ) as unreadable_columns
from {{ relation }}
{%- endmacro %}


{#- An entity that the source does not have: no rows, the contract's columns. -#}
{% macro absent_entity() -%}
select
    {%- for column in model.columns.values() %}
    cast(null as {{ column.data_type }}) as {{ column.name }}{{ ',' if not loop.last }}
    {%- endfor %}
where 1 = 0
{%- endmacro %}
