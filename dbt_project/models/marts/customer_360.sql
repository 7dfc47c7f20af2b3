{{ config(contract={'enforced': false}) }}

with current_run as (
    select max(as_of_date) as as_of_date from {{ ref('current_as_of_date') }}
),

demographic_features as (
    select * from {{ source('promoted', 'demographic_features') }}
),

financial_features as (
    select * from {{ source('promoted', 'financial_features') }}
),

purchase_features as (
    select * from {{ source('promoted', 'purchase_features') }}
),

engagement_features as (
    select * from {{ source('promoted', 'engagement_features') }}
),

-- The loops' lines are laid out for who reads the loops.
-- noqa: disable=LT02,LT04
segments as (
    select
        customer_id
        {%- for lens in lens_names() %}
        , max(case when lens = '{{ lens }}' then segment_id end) as {{ lens }}_segment_id
        , max(case when lens = '{{ lens }}' then segment_name end) as {{ lens }}_segment_name
        {%- endfor %}
    from {{ ref('customer_segments') }}
    group by customer_id
),

final as (
    select
        purchase_features.as_of_date
        , purchase_features.customer_id
        {%- for lens in lens_names() %}
        , segments.{{ lens }}_segment_id
        , segments.{{ lens }}_segment_name
        {%- endfor %}
        {%- for feature in promoted_features() %}
        , {{ feature.table }}.{{ feature.column.name }}
        {%- endfor %}
    from purchase_features
    inner join current_run on purchase_features.as_of_date = current_run.as_of_date
    inner join demographic_features
        on
            purchase_features.as_of_date = demographic_features.as_of_date
            and purchase_features.customer_id = demographic_features.customer_id
    inner join financial_features
        on
            purchase_features.as_of_date = financial_features.as_of_date
            and purchase_features.customer_id = financial_features.customer_id
    inner join engagement_features
        on
            purchase_features.as_of_date = engagement_features.as_of_date
            and purchase_features.customer_id = engagement_features.customer_id
    left join segments on purchase_features.customer_id = segments.customer_id
)

select * from final
