with members as (
    select * from {{ ref('insight_members') }}
),

features as (
    select * from {{ source('promoted', 'financial_features') }}
),

described as (
    select
        members.lens,
        members.segment_id,
        members.segment_name,
        features.*,
        -- A share of a count, rounded to six digits, gives the count back.
        cast(round(features.payment_on_time_share * features.payment_count) as bigint) as on_time_count,
        cast(round(features.payment_late_share * features.payment_count) as bigint) as late_count,
        cast(round(features.payment_failed_share * features.payment_count) as bigint) as failed_count
    from members
    inner join features
        on
            members.as_of_date = features.as_of_date
            and members.customer_id = features.customer_id
),

-- Sums of decimals, not of doubles: equal whatever the order in which rows are read.
segments as (
    select
        as_of_date,
        lens,
        segment_id,
        segment_name,
        count(*) as customer_count,
        sum(spend_amount_90d) as spend_amount_90d,
        sum(spend_amount_365d) as spend_amount_365d,
        sum(spend_amount) as spend_amount,
        {{ median_of('cast(spend_amount_365d as double)') }} as median_spend_amount_365d,
        sum(gross_amount) as gross_amount,
        sum(discount_amount) as discount_amount,
        sum(cost_amount) as cost_amount,
        sum(margin_amount) as margin_amount,
        sum(margin_amount_365d) as margin_amount_365d,
        count(spend_volatility) as volatility_count,
        sum(cast(spend_volatility as decimal(18, 6))) as volatility_total,
        sum(payment_count) as payment_count,
        sum(on_time_count) as on_time_count,
        sum(late_count) as late_count,
        sum(failed_count) as failed_count,
        count(payment_delay_days_deviation) as deviation_count,
        sum(cast(payment_delay_days_deviation as decimal(18, 6))) as deviation_total,
        sum(overdue_amount) as overdue_amount,
        count(credit_utilisation_share) as utilisation_count,
        sum(cast(credit_utilisation_share as decimal(18, 6))) as utilisation_total,
        count(external_credit_score) as score_count,
        sum(external_credit_score) as score_total
    from described
    group by
        as_of_date,
        lens,
        segment_id,
        segment_name
),

compared as (
    select
        *,
        sum(case when lens = 'all' then spend_amount_365d else 0 end) over (partition by as_of_date)
            as population_spend_amount_365d
    from segments
),

final as (
    select
        as_of_date,
        lens,
        segment_id,
        segment_name,
        cast(customer_count as bigint) as customer_count,
        cast(spend_amount_90d as decimal(18, 2)) as spend_amount_90d,
        cast(spend_amount_365d as decimal(18, 2)) as spend_amount_365d,
        cast(spend_amount as decimal(18, 2)) as spend_amount,
        {{ rounded_ratio('spend_amount_365d', 'population_spend_amount_365d') }} as spend_share_365d,
        {{ money_ratio('spend_amount_365d', 'customer_count') }} as average_spend_amount_365d,
        {{ money_ratio('median_spend_amount_365d', '1') }} as median_spend_amount_365d,
        cast(cost_amount as decimal(18, 2)) as cost_amount,
        cast(margin_amount as decimal(18, 2)) as margin_amount,
        {{ rounded_ratio('margin_amount', 'margin_amount + cost_amount') }} as margin_share,
        cast(margin_amount_365d as decimal(18, 2)) as margin_amount_365d,
        {{ money_ratio('margin_amount_365d', 'customer_count') }} as average_margin_amount_365d,
        {{ rounded_ratio('discount_amount', 'gross_amount') }} as discount_share,
        {{ rounded_ratio('volatility_total', 'volatility_count') }} as spend_volatility_mean,
        cast(payment_count as bigint) as payment_count,
        {{ rounded_ratio('on_time_count', 'payment_count') }} as payment_on_time_share,
        {{ rounded_ratio('late_count', 'payment_count') }} as payment_late_share,
        {{ rounded_ratio('failed_count', 'payment_count') }} as payment_failed_share,
        {{ rounded_ratio('deviation_total', 'deviation_count') }} as payment_delay_days_deviation_mean,
        cast(overdue_amount as decimal(18, 2)) as overdue_amount,
        {{ rounded_ratio('utilisation_total', 'utilisation_count') }} as credit_utilisation_share_mean,
        {{ rounded_ratio('score_total', 'score_count') }} as external_credit_score_mean
    from compared
)

select * from final
