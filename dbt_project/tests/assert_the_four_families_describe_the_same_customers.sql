-- Each customer of the dates that this build computes is in every family once.
{% set families = ['demographic_features', 'financial_features', 'purchase_features', 'engagement_features'] %}
with described as (
    {% for family in families %}
    select
        '{{ family }}' as family,
        as_of_date,
        customer_id
    from {{ ref(family) }}
    where as_of_date in (cast('{{ as_of_dates() | join("' as date), cast('") }}' as date))
    {% if not loop.last %}
    union all
    {% endif %}
    {% endfor %}
)

select
    as_of_date,
    customer_id,
    count(*) as row_count,
    count(distinct family) as family_count
from described
group by
    as_of_date,
    customer_id
having
    count(*) != {{ families | length }}
    or count(distinct family) != {{ families | length }}
