with checked as (
    select * from {{ ref('stg_products_checked') }}
),

versions as (
    select
        product_id,
        valid_from_date,
        lead(valid_from_date) over (
            partition by product_id order by valid_from asc nulls first
        ) as valid_to_date,
        department,
        category,
        brand,
        coalesce(is_private_label, false) as is_private_label,
        list_price_amount
    from checked
    where quarantine_reason is null
),

final as (
    -- Two versions of one day: the day ends with the later one.
    select *
    from versions
    where valid_to_date is null or valid_from_date is null or valid_to_date > valid_from_date
)

select * from final
