with members as (
    select * from {{ ref('insight_members') }}
),

dates as (
    select * from {{ ref('insight_dates') }}
),

engagement as (
    select * from {{ source('promoted', 'engagement_features') }}
),

financial as (
    select * from {{ source('promoted', 'financial_features') }}
),

customers as (
    select
        engagement.as_of_date,
        engagement.customer_id,
        engagement.is_loyalty_member,
        case
            when engagement.is_loyalty_member then coalesce(engagement.loyalty_tier, 'member')
            else 'none'
        end as loyalty_tier,
        engagement.points_earned,
        engagement.points_redeemed,
        financial.spend_amount_365d
    from engagement
    inner join dates on engagement.as_of_date = dates.as_of_date
    inner join financial
        on
            engagement.as_of_date = financial.as_of_date
            and engagement.customer_id = financial.customer_id
),

-- Only where somebody is a member at all: without a programme there is nothing to say of it.
thresholds as (
    select
        as_of_date,
        percentile_cont(0.9) within group (order by cast(spend_amount_365d as double)) as high_value_amount
    from customers
    group by as_of_date
    having count(*) filter (where is_loyalty_member) > 0
),

tiers as (
    select
        members.as_of_date,
        members.lens,
        members.segment_id,
        members.segment_name,
        customers.loyalty_tier,
        count(*) as customer_count,
        count(*) filter (where customers.is_loyalty_member) as member_count,
        sum(customers.points_earned) as points_earned,
        sum(customers.points_redeemed) as points_redeemed,
        sum(customers.spend_amount_365d) as spend_amount_365d,
        count(*) filter (
            where
            customers.spend_amount_365d > 0
            and cast(customers.spend_amount_365d as double) >= thresholds.high_value_amount
        ) as high_value_customer_count
    from members
    inner join thresholds on members.as_of_date = thresholds.as_of_date
    inner join customers
        on
            members.as_of_date = customers.as_of_date
            and members.customer_id = customers.customer_id
    group by
        members.as_of_date,
        members.lens,
        members.segment_id,
        members.segment_name,
        customers.loyalty_tier
),

final as (
    select
        as_of_date,
        lens,
        segment_id,
        segment_name,
        loyalty_tier,
        cast(customer_count as bigint) as customer_count,
        {{ rounded_ratio(
            'customer_count', 'sum(customer_count) over (partition by as_of_date, lens, segment_id)'
        ) }} as customer_share,
        case
            when loyalty_tier != 'none'
                then {{ rounded_ratio(
                    'member_count', 'sum(member_count) over (partition by as_of_date, lens, segment_id)'
                ) }}
        end as member_share,
        cast(points_earned as bigint) as points_earned,
        cast(points_redeemed as bigint) as points_redeemed,
        {{ rounded_ratio('points_redeemed', 'points_earned') }} as points_redeemed_share,
        cast(spend_amount_365d as decimal(18, 2)) as spend_amount_365d,
        cast(high_value_customer_count as bigint) as high_value_customer_count,
        {{ rounded_ratio('high_value_customer_count', 'customer_count') }} as high_value_share
    from tiers
)

select * from final
