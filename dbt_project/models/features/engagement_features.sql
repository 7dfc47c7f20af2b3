with scope as (
    select * from {{ ref('int_scope') }}
),

customer_days as (
    select * from {{ ref('int_customer_days') }}
),

contacts as (
    select * from {{ ref('stg_campaign_contacts') }}
),

active_days as (
    select
        scope.as_of_date,
        scope.customer_id,
        {{ dbt.datediff('customer_days.order_date', 'scope.as_of_date', 'day') }}
            as days_ago
    from scope
    inner join customer_days
        on
            scope.customer_id = customer_days.customer_id
            and customer_days.order_date < scope.as_of_date
),

activity as (
    select
        as_of_date,
        customer_id,
        count(*) as order_day_count,
        count(*) filter (where days_ago <= 90) as active_day_count_90d,
        count(distinct case when days_ago <= 360 then floor({{ ratio('days_ago - 1', 30) }}) end)
            as active_window_count
    from active_days
    group by
        as_of_date,
        customer_id
),

campaigns as (
    select
        scope.as_of_date,
        scope.customer_id,
        count(*) as campaign_contact_count,
        count(*) filter (where contacts.response_date < scope.as_of_date) as campaign_response_count,
        max(contacts.response_date) filter (where contacts.response_date < scope.as_of_date) as last_response_date
    from scope
    inner join contacts
        on
            scope.customer_id = contacts.customer_id
            and contacts.contact_date < scope.as_of_date
    group by
        scope.as_of_date,
        scope.customer_id
),

final as (
    select
        scope.as_of_date,
        scope.customer_id,
        scope.first_seen_date,
        scope.tenure_days,
        cast(coalesce(activity.active_day_count_90d, 0) as bigint) as active_day_count_90d,
        {{ rounded_ratio('coalesce(activity.active_window_count, 0)', 'scope.lived_window_count') }}
            as active_window_share,
        coalesce(activity.order_day_count, 0) >= 2 as is_repeat_customer,
        cast(coalesce(campaigns.campaign_contact_count, 0) as bigint) as campaign_contact_count,
        cast(coalesce(campaigns.campaign_response_count, 0) as bigint) as campaign_response_count,
        {{ rounded_ratio('campaigns.campaign_response_count', 'campaigns.campaign_contact_count') }}
            as campaign_response_rate,
        cast(
            {{ dbt.datediff('campaigns.last_response_date', 'scope.as_of_date', 'day') }}
            as integer
        ) as days_since_response
    from scope
    left join activity
        on
            scope.as_of_date = activity.as_of_date
            and scope.customer_id = activity.customer_id
    left join campaigns
        on
            scope.as_of_date = campaigns.as_of_date
            and scope.customer_id = campaigns.customer_id
)

select * from final
