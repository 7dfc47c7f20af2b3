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
        {%- set is_text = column.is_string() -%}
        {#- An adapter may take DECIMAL(18,2), with its digits, for no number. -#}
        {%- set is_number = column.is_number()
            or column.data_type | lower == 'boolean'
            or (column.data_type | lower).startswith('decimal') -%}
        {%- if (kind == 'text' and is_text) or (kind == 'number' and is_number) -%}
            {%- do found.append({'table': feature.table, 'column': column.name}) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}
