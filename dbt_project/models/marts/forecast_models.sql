with final as (
    select
        as_of_date,
        model,
        method,
        customers_fitted,
        parameters,
        note
    from {{ source('promoted', 'forecast_models') }}
)

select * from final
