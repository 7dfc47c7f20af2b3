{{ config(schema='pipeline', contract={'enforced': false}) }}

-- What a product was on the last day before a date that is described: it goes under one category, whatever it was before.
with dates as (
    select * from {{ ref('insight_dates') }}
),

products as (
    select * from {{ ref('stg_products') }}
),

final as (
    select
        dates.as_of_date,
        products.product_id,
        products.department,
        coalesce(products.category, products.department, 'unknown') as category
    from dates
    inner join products
        on
            (products.valid_from_date is null or products.valid_from_date < dates.as_of_date)
            and (products.valid_to_date is null or products.valid_to_date >= dates.as_of_date)
)

select * from final
