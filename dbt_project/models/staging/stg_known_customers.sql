-- From which day on an id is a customer's; null where the source does not say, which means always.
with checked as (
    select
        customer_id,
        case when {{ is_possible_date('valid_from_date') }} then valid_from_date end as valid_from_date
    from {{ ref('stg_customers_checked') }}
),

final as (
    select
        customer_id,
        case when count(valid_from_date) = count(*) then min(valid_from_date) end as known_from_date
    from checked
    where customer_id is not null
    group by customer_id
)

select * from final
