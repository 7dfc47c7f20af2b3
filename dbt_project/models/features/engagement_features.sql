with scope as (
    select * from {{ ref('int_scope') }}
),

-- Who did anything before the date that counts here is in scope, or is left out when it is looked up for the scope.
as_of_dates as (
    select distinct as_of_date
    from scope
),

customer_days as (
    select
        customer_id,
        order_date,
        order_count
    from {{ ref('int_customer_days') }}
),

first_days as (
    select
        customer_id,
        min(order_date) as order_date
    from customer_days
    group by customer_id
),

contacts as (
    select * from {{ ref('stg_campaign_contacts') }}
),

customer_loyalty_days as (
    select * from {{ ref('int_customer_loyalty_days') }}
),

customer_session_days as (
    select * from {{ ref('int_customer_session_days') }}
),

customer_viewed_product_days as (
    select * from {{ ref('int_customer_viewed_product_days') }}
),

feedback as (
    select * from {{ ref('stg_feedback') }}
),

active_days as (
    select
        as_of_dates.as_of_date,
        customer_days.customer_id,
        customer_days.order_count,
        {{ dbt.datediff('customer_days.order_date', 'as_of_dates.as_of_date', 'day') }}
            as days_ago
    from as_of_dates
    inner join customer_days on customer_days.order_date < as_of_dates.as_of_date
),

first_orders as (
    select
        customer_days.customer_id,
        customer_days.order_count
    from customer_days
    inner join first_days
        on
            customer_days.customer_id = first_days.customer_id
            and customer_days.order_date = first_days.order_date
),

activity as (
    select
        as_of_date,
        customer_id,
        count(*) as order_day_count,
        sum(order_count) as order_count,
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
        count(*) filter (
            where
            contacts.response_date < scope.as_of_date
            and contacts.response_date >= {{ dbt.dateadd('day', -90, 'scope.as_of_date') }}
        ) as campaign_response_count_90d,
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

loyalty_days as (
    select
        as_of_dates.as_of_date,
        customer_loyalty_days.*,
        {{ dbt.datediff('customer_loyalty_days.event_date', 'as_of_dates.as_of_date', 'day') }}
            as days_ago
    from as_of_dates
    inner join customer_loyalty_days on customer_loyalty_days.event_date < as_of_dates.as_of_date
),

loyalty as (
    select
        as_of_date,
        customer_id,
        max(days_ago) as loyalty_tenure_days,
        sum(event_count) filter (where days_ago <= 90) as event_count_90d,
        sum(points_earned) as points_earned,
        sum(points_redeemed) as points_redeemed,
        sum(redemption_count) as redemption_count
    from loyalty_days
    group by
        as_of_date,
        customer_id
),

ranked_tiers as (
    select
        as_of_date,
        customer_id,
        tier,
        row_number() over (
            partition by as_of_date, customer_id
            order by event_date desc
        ) as tier_rank
    from loyalty_days
    where tier is not null
),

session_days as (
    select
        as_of_dates.as_of_date,
        customer_session_days.*,
        {{ dbt.datediff('customer_session_days.session_date', 'as_of_dates.as_of_date', 'day') }}
            as days_ago
    from as_of_dates
    inner join customer_session_days on customer_session_days.session_date < as_of_dates.as_of_date
),

sessions as (
    select
        as_of_date,
        customer_id,
        count(*) as session_count,
        count(*) filter (where days_ago <= 30) as session_count_30d,
        count(*) filter (where days_ago <= 90) as session_count_90d,
        sum(view_count) filter (where days_ago <= 90) as view_count_90d,
        sum(search_count) filter (where days_ago <= 90) as search_count_90d,
        min(days_ago) as days_since_session,
        count(*) filter (where has_cart) as cart_count,
        count(*) filter (where is_abandoned) as abandoned_cart_count,
        sum(abandoned_amount) filter (where days_ago <= 90) as abandoned_cart_amount_90d,
        count(*) filter (where has_purchase) as purchase_session_count
    from session_days
    group by
        as_of_date,
        customer_id
),

ranked_devices as (
    select
        as_of_date,
        customer_id,
        device,
        row_number() over (
            partition by as_of_date, customer_id
            order by count(*) desc, device asc
        ) as device_rank
    from session_days
    where device is not null
    group by
        as_of_date,
        customer_id,
        device
),

viewed_products as (
    select
        scope.as_of_date,
        scope.customer_id,
        customer_viewed_product_days.product_id,
        customer_viewed_product_days.category,
        customer_viewed_product_days.view_count
    from scope
    inner join customer_viewed_product_days
        on
            scope.customer_id = customer_viewed_product_days.customer_id
            and customer_viewed_product_days.session_date < scope.as_of_date
            and customer_viewed_product_days.session_date >= {{ dbt.dateadd('day', -90, 'scope.as_of_date') }}
),

views as (
    select
        as_of_date,
        customer_id,
        count(distinct product_id) as viewed_product_count_90d
    from viewed_products
    group by
        as_of_date,
        customer_id
),

ranked_views as (
    select
        as_of_date,
        customer_id,
        category,
        row_number() over (
            partition by as_of_date, customer_id
            order by sum(view_count) desc, category asc
        ) as category_rank
    from viewed_products
    group by
        as_of_date,
        customer_id,
        category
),

opinions as (
    select
        scope.as_of_date,
        feedback.*,
        {{ dbt.datediff('feedback.event_date', 'scope.as_of_date', 'day') }}
            as days_ago
    from scope
    inner join feedback
        on
            scope.customer_id = feedback.customer_id
            and feedback.event_date < scope.as_of_date
),

satisfaction as (
    select
        as_of_date,
        customer_id,
        count(*) filter (where days_ago <= 90) as feedback_count_90d,
        count(*) filter (where feedback_type = 'survey') as survey_count,
        count(score) filter (where feedback_type = 'survey') as survey_response_count,
        count(*) filter (where feedback_type = 'review') as review_count,
        count(*) filter (where feedback_type = 'complaint') as complaint_count,
        count(*) filter (where feedback_type = 'complaint' and days_ago <= 365) as complaint_count_365d,
        count(satisfaction_score) as score_count,
        sum(satisfaction_score) as satisfaction_score_total,
        count(score) filter (where score_scale = 'nps_0_10') as nps_score_count,
        sum(score) filter (where score_scale = 'nps_0_10') as nps_score_total,
        count(score) filter (where feedback_type = 'review' and score_scale != 'nps_0_10') as review_score_count,
        sum(score) filter (where feedback_type = 'review' and score_scale != 'nps_0_10') as review_score_total
    from opinions
    group by
        as_of_date,
        customer_id
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
        ) as days_since_response,
        {{ rounded_ratio('activity.order_count - first_orders.order_count', 'activity.order_count') }}
            as repeat_order_share,
        loyalty.customer_id is not null as is_loyalty_member,
        cast(loyalty.loyalty_tenure_days as integer) as loyalty_tenure_days,
        ranked_tiers.tier as loyalty_tier,
        cast(coalesce(loyalty.points_earned, 0) as bigint) as points_earned,
        cast(coalesce(loyalty.points_redeemed, 0) as bigint) as points_redeemed,
        cast(coalesce(loyalty.points_earned - loyalty.points_redeemed, 0) as bigint) as points_balance,
        cast(coalesce(loyalty.redemption_count, 0) as bigint) as redemption_count,
        {{ rounded_ratio('loyalty.points_redeemed', 'loyalty.points_earned') }} as points_redeemed_share,
        cast(
            coalesce(sessions.session_count_90d, 0)
            + coalesce(satisfaction.feedback_count_90d, 0)
            + coalesce(loyalty.event_count_90d, 0)
            + coalesce(campaigns.campaign_response_count_90d, 0)
            + coalesce(activity.active_day_count_90d, 0) as bigint
        ) as brand_interaction_count_90d,
        cast(coalesce(sessions.session_count, 0) as bigint) as session_count,
        cast(coalesce(sessions.session_count_30d, 0) as bigint) as session_count_30d,
        cast(coalesce(sessions.session_count_90d, 0) as bigint) as session_count_90d,
        cast(coalesce(sessions.view_count_90d, 0) as bigint) as view_count_90d,
        cast(coalesce(sessions.search_count_90d, 0) as bigint) as search_count_90d,
        cast(coalesce(views.viewed_product_count_90d, 0) as bigint) as viewed_product_count_90d,
        ranked_views.category as viewed_category,
        cast(sessions.days_since_session as integer) as days_since_session,
        cast(coalesce(sessions.cart_count, 0) as bigint) as cart_count,
        cast(coalesce(sessions.abandoned_cart_count, 0) as bigint) as abandoned_cart_count,
        {{ rounded_ratio('sessions.abandoned_cart_count', 'sessions.cart_count') }} as cart_abandonment_rate,
        cast(coalesce(sessions.abandoned_cart_amount_90d, 0) as decimal(18, 2)) as abandoned_cart_amount_90d,
        {{ rounded_ratio('sessions.purchase_session_count', 'sessions.session_count') }} as conversion_rate,
        ranked_devices.device as main_device,
        cast(coalesce(satisfaction.survey_count, 0) as bigint) as survey_count,
        {{ rounded_ratio('satisfaction.survey_response_count', 'satisfaction.survey_count') }}
            as survey_response_rate,
        {{ rounded_ratio('satisfaction.satisfaction_score_total', 'satisfaction.score_count') }} as satisfaction_score,
        {{ rounded_ratio('satisfaction.nps_score_total', 'satisfaction.nps_score_count') }} as nps_score_mean,
        cast(coalesce(satisfaction.review_count, 0) as bigint) as review_count,
        {{ rounded_ratio('satisfaction.review_score_total', 'satisfaction.review_score_count') }}
            as review_score_mean,
        cast(coalesce(satisfaction.complaint_count, 0) as bigint) as complaint_count,
        cast(coalesce(satisfaction.complaint_count_365d, 0) as bigint) as complaint_count_365d
    from scope
    left join activity
        on
            scope.as_of_date = activity.as_of_date
            and scope.customer_id = activity.customer_id
    left join first_orders on activity.customer_id = first_orders.customer_id
    left join campaigns
        on
            scope.as_of_date = campaigns.as_of_date
            and scope.customer_id = campaigns.customer_id
    left join loyalty
        on
            scope.as_of_date = loyalty.as_of_date
            and scope.customer_id = loyalty.customer_id
    left join ranked_tiers
        on
            scope.as_of_date = ranked_tiers.as_of_date
            and scope.customer_id = ranked_tiers.customer_id
            and ranked_tiers.tier_rank = 1
    left join sessions
        on
            scope.as_of_date = sessions.as_of_date
            and scope.customer_id = sessions.customer_id
    left join ranked_devices
        on
            scope.as_of_date = ranked_devices.as_of_date
            and scope.customer_id = ranked_devices.customer_id
            and ranked_devices.device_rank = 1
    left join views
        on
            scope.as_of_date = views.as_of_date
            and scope.customer_id = views.customer_id
    left join ranked_views
        on
            scope.as_of_date = ranked_views.as_of_date
            and scope.customer_id = ranked_views.customer_id
            and ranked_views.category_rank = 1
    left join satisfaction
        on
            scope.as_of_date = satisfaction.as_of_date
            and scope.customer_id = satisfaction.customer_id
)

select * from final
