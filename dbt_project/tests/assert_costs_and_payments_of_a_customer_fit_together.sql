-- What the financial features say of costs, credit and payments of one customer must fit together.
select
    as_of_date,
    customer_id
from {{ ref('financial_features') }}
where
    as_of_date in (cast('{{ as_of_dates() | join("' as date), cast('") }}' as date))
    and (
        margin_amount + cost_amount > spend_amount
        or (margin_amount is null and (cost_amount != 0 or margin_amount_365d is not null))
        or (payment_count > 0) != (payment_on_time_share is not null)
        or abs(payment_on_time_share + payment_late_share + payment_failed_share - 1) > 0.000002
        or (overdue_amount > 0 and payment_late_share = 0)
        or (external_credit_score is null) != (credit_score_band is null)
        or (credit_utilisation_share is null)
        != (coalesce(credit_limit_amount, 0) = 0 or credit_balance_amount is null)
    )
