{#- The columns of the promoted families, as dicts of table and column. Read from the tables: a new one needs no second place. -#}
{% macro promoted_features() -%}
    {%- set found = [] -%}
    {%- if execute -%}
        {%- for table in ['demographic_features', 'financial_features', 'purchase_features', 'engagement_features'] -%}
            {%- for column in adapter.get_columns_in_relation(source('promoted', table))
                if column.name not in ['as_of_date', 'customer_id'] -%}
                {%- do found.append({'table': table, 'column': column}) -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(found) }}
{%- endmacro %}


{#- The promoted features that profiles describe, as dicts of table and column's name: numbers and flags, or texts. -#}
{% macro profiled_features(kind) -%}
    {%- set found = [] -%}
    {%- for feature in promoted_features() -%}
        {%- set column = feature.column -%}
        {#- Adapters ask for names of types that their engines do not use: string, int, DECIMAL(18,2) with its digits. -#}
        {%- set type = (column.data_type | lower).split('(')[0] -%}
        {%- set is_text = type in ['varchar', 'string', 'text'] or column.is_string() -%}
        {%- set is_number = type in ['boolean', 'int', 'integer', 'bigint', 'double', 'decimal'] or column.is_number() -%}
        {%- if (kind == 'text' and is_text) or (kind == 'number' and is_number) -%}
            {%- do found.append({'table': feature.table, 'column': column.name}) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}
