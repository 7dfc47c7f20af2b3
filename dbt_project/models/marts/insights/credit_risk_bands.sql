with members as (
    select * from {{ ref('insight_members') }}
),

features as (
    select * from {{ source('promoted', 'financial_features') }}
),

-- Where nobody's credit is known there are no bands; where somebody's is, the others are in unknown ones.
credit_dates as (
    select distinct as_of_date
    from features
    where
        external_credit_score is not null
        or credit_limit_amount is not null
        or credit_balance_amount is not null
),

described as (
    select
        members.as_of_date,
        members.lens,
        members.segment_id,
        members.segment_name,
        coalesce(features.credit_score_band, 'unknown') as credit_score_band,
        case
            when features.credit_utilisation_share < 0.3 then '0-29%'
            when features.credit_utilisation_share < 0.5 then '30-49%'
            when features.credit_utilisation_share < 0.75 then '50-74%'
            when features.credit_utilisation_share <= 1 then '75-100%'
            when features.credit_utilisation_share > 1 then 'over 100%'
            else 'unknown'
        end as utilisation_band,
        features.payment_count,
        -- A share of a count, rounded to six digits, gives the count back.
        cast(round(features.payment_late_share * features.payment_count) as bigint) as late_count,
        cast(round(features.payment_failed_share * features.payment_count) as bigint) as failed_count
    from members
    inner join credit_dates on members.as_of_date = credit_dates.as_of_date
    inner join features
        on
            members.as_of_date = features.as_of_date
            and members.customer_id = features.customer_id
),

bands as (
    select
        as_of_date,
        lens,
        segment_id,
        segment_name,
        credit_score_band,
        utilisation_band,
        count(*) as customer_count,
        sum(payment_count) as payment_count,
        sum(late_count) as late_count,
        sum(failed_count) as failed_count
    from described
    group by
        as_of_date,
        lens,
        segment_id,
        segment_name,
        credit_score_band,
        utilisation_band
),

final as (
    select
        as_of_date,
        lens,
        segment_id,
        segment_name,
        credit_score_band,
        utilisation_band,
        cast(customer_count as bigint) as customer_count,
        {{ rounded_ratio(
            'customer_count', 'sum(customer_count) over (partition by as_of_date, lens, segment_id)'
        ) }} as customer_share,
        {{ rounded_ratio('late_count', 'payment_count') }} as late_payment_share,
        {{ rounded_ratio('failed_count', 'payment_count') }} as failed_payment_share
    from bands
)

select * from final
