with customer_events as (
    select * from {{ ref('int_customer_web_events') }}
),

final as (
    select
        customer_id,
        product_id,
        session_date,
        category,
        count(*) as view_count
    from customer_events
    where event_type = 'view' and product_id is not null
    group by
        customer_id,
        product_id,
        session_date,
        category
)

select * from final
order by
    session_date,
    customer_id,
    product_id
