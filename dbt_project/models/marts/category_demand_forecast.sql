with final as (
    select
        as_of_date,
        category,
        {{ adapter.quote("month") }},
        months_ahead,
        expected_amount,
        lower_amount,
        upper_amount,
        method
    from {{ source('promoted', 'category_demand_forecast') }}
)

select * from final
