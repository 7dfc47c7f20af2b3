{#-
  The promoted features that profiles describe, as dicts of table and column: numbers and flags, or texts.
  Read from the tables, so that a new feature needs no second place.
-#}
{% macro profiled_features(kind) -%}
    {%- set found = [] -%}
    {%- if execute -%}
        {%- for table in ['demographic_features', 'financial_features', 'purchase_features', 'engagement_features'] -%}
            {%- for column in adapter.get_columns_in_relation(source('promoted', table)) -%}
                {%- set is_text = column.is_string() -%}
                {#- An adapter may take DECIMAL(18,2), with its digits, for no number. -#}
                {%- set is_number = column.is_number()
                    or column.data_type | lower == 'boolean'
                    or (column.data_type | lower).startswith('decimal') -%}
                {%- if column.name not in ['as_of_date', 'customer_id']
                    and ((kind == 'text' and is_text) or (kind == 'number' and is_number)) -%}
                    {%- do found.append({'table': table, 'column': column.name}) -%}
                {%- endif -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(found) }}
{%- endmacro %}
