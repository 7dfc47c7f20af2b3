{{ config(materialized='ephemeral') }}

{% for as_of_date in as_of_dates() %}
select cast('{{ as_of_date }}' as date) as as_of_date
{% if not loop.last %}
union all
{% endif %}
{% endfor %}
