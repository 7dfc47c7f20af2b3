{#- Takes the dates that are profiled anew, and those no longer labelled, out of the profiles. -#}
{% macro delete_dates_to_profile() -%}
    {%- if is_incremental() -%}
    delete from {{ this }}
    where
        as_of_date in ({{ dates_to_profile() }})
        or as_of_date not in (select as_of_date from {{ ref('profile_dates') }})
    {%- endif -%}
{%- endmacro %}
