-- The segments of a lens hold every customer once, so their figures add up to those of all customers together.
with lenses as (
    select
        as_of_date,
        lens,
        sum(customer_count) as customer_count,
        sum(spend_amount) as spend_amount,
        sum(spend_amount_90d) as spend_amount_90d,
        sum(spend_amount_365d) as spend_amount_365d,
        sum(cost_amount) as cost_amount,
        coalesce(sum(margin_amount), 0) as margin_amount,
        coalesce(sum(margin_amount_365d), 0) as margin_amount_365d,
        sum(payment_count) as payment_count,
        sum(overdue_amount) as overdue_amount
    from {{ ref('financial_summary') }}
    group by
        as_of_date,
        lens
)

select lenses.*
from lenses
left join lenses as everyone
    on
        lenses.as_of_date = everyone.as_of_date
        and everyone.lens = 'all'
where
    everyone.as_of_date is null
    or lenses.customer_count != everyone.customer_count
    or lenses.spend_amount != everyone.spend_amount
    or lenses.spend_amount_90d != everyone.spend_amount_90d
    or lenses.spend_amount_365d != everyone.spend_amount_365d
    or lenses.cost_amount != everyone.cost_amount
    or lenses.margin_amount != everyone.margin_amount
    or lenses.margin_amount_365d != everyone.margin_amount_365d
    or lenses.payment_count != everyone.payment_count
    or lenses.overdue_amount != everyone.overdue_amount
