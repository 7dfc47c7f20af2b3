with current_run as (
    select max(as_of_date) as as_of_date from {{ ref('current_as_of_date') }}
),

demographic as (
    select * from {{ source('promoted', 'demographic_features') }}
),

financial as (
    select * from {{ source('promoted', 'financial_features') }}
),

purchase as (
    select * from {{ source('promoted', 'purchase_features') }}
),

engagement as (
    select * from {{ source('promoted', 'engagement_features') }}
),

overall as (
    select * from {{ ref('customer_segments') }}
    where lens = 'overall'
),

-- The loop's lines are laid out for who reads the loop.
-- noqa: disable=LT02
final as (
    select
        {% for column in model.columns.values() -%}
        {%- set origin = column.config.meta.get('from', 'purchase') -%}
        {{ origin }}.{{ column.config.meta.get('column', column.name) }} as {{ column.name }}{{ ',' if not loop.last }}
        {% endfor %}
    from purchase
    inner join current_run on purchase.as_of_date = current_run.as_of_date
    inner join demographic
        on
            purchase.as_of_date = demographic.as_of_date
            and purchase.customer_id = demographic.customer_id
    inner join financial
        on
            purchase.as_of_date = financial.as_of_date
            and purchase.customer_id = financial.customer_id
    inner join engagement
        on
            purchase.as_of_date = engagement.as_of_date
            and purchase.customer_id = engagement.customer_id
    left join overall on purchase.customer_id = overall.customer_id
)

select * from final
