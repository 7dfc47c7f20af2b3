{{ config(schema='pipeline', contract={'enforced': false}) }}

-- Whom an insight is about: every segment of every lens, and all customers together as lens and segment `all`.
with dates as (
    select * from {{ ref('insight_dates') }}
),

labels as (
    select
        labels.as_of_date,
        labels.lens,
        aliases.segment_id,
        aliases.segment_name,
        labels.customer_id
    from {{ source('promoted', 'labels') }} as labels
    inner join dates on labels.as_of_date = dates.as_of_date
    inner join {{ ref('segment_aliases') }} as aliases
        on
            labels.lens = aliases.lens
            and labels.segment_key = aliases.segment_key
),

everyone as (
    select
        features.as_of_date,
        'all' as lens,
        'all' as segment_id,
        'All customers' as segment_name,
        features.customer_id
    from {{ source('promoted', 'demographic_features') }} as features
    inner join dates on features.as_of_date = dates.as_of_date
),

final as (
    select * from labels
    union all
    select * from everyone
)

select * from final
