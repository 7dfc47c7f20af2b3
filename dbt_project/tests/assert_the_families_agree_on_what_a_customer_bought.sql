-- The families are computed apart, from the same facts: what they say of one customer must fit together.
{% set dates = "cast('" ~ as_of_dates() | join("' as date), cast('") ~ "' as date)" %}
select
    financial.as_of_date,
    financial.customer_id
from {{ ref('financial_features') }} as financial
inner join {{ ref('purchase_features') }} as purchase
    on
        financial.as_of_date = purchase.as_of_date
        and financial.customer_id = purchase.customer_id
inner join {{ ref('engagement_features') }} as engagement
    on
        financial.as_of_date = engagement.as_of_date
        and financial.customer_id = engagement.customer_id
where
    financial.as_of_date in ({{ dates }})
    and (
        financial.spend_amount != financial.gross_amount - financial.discount_amount
        or financial.spend_amount_30d > financial.spend_amount_90d
        or financial.spend_amount_90d > financial.spend_amount_365d
        or financial.spend_amount_365d > financial.spend_amount
        or purchase.order_count_30d > purchase.order_count_90d
        or purchase.order_count_90d > purchase.order_count_365d
        or purchase.order_count_365d > purchase.order_count
        or purchase.order_day_count > purchase.order_count
        or purchase.order_count > purchase.line_count
        or (purchase.order_count > 0) != (financial.average_order_amount is not null)
        or (purchase.order_count > 0) != (purchase.recency_days is not null)
        or financial.largest_order_amount > financial.spend_amount
        or engagement.is_repeat_customer != (purchase.order_day_count >= 2)
        or engagement.active_day_count_90d > purchase.order_day_count
        or purchase.recency_days > engagement.tenure_days
        or purchase.first_order_date < engagement.first_seen_date
    )
