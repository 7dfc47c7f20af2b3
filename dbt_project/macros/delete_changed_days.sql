{#- Takes the days that changed out of an incremental fact, in the transaction that then appends them anew. -#}
{% macro delete_changed_days() -%}
    {%- if is_incremental() -%}
    {{ delete_days('order_date', 'order_date in (select order_date from ' ~ ref('int_changed_days') ~ ')') }}
    {%- endif -%}
{%- endmacro %}
