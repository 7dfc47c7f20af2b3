with current_run as (
    select max(as_of_date) as as_of_date from {{ ref('current_as_of_date') }}
),

final as (
    select
        forecasts.as_of_date,
        forecasts.customer_id,
        forecasts.expected_purchases_90d,
        forecasts.expected_spend_amount_90d,
        forecasts.active_probability,
        forecasts.next_category,
        forecasts.next_category_probability
    from {{ source('promoted', 'customer_forecasts') }} as forecasts
    inner join current_run on forecasts.as_of_date = current_run.as_of_date
)

select * from final
