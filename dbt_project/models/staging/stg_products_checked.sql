with products as (
    select * from {{ ref('input_products') }}
),

cleaned as (
    select
        {{ clean_text('product_id') }} as product_id,
        valid_from,
        {{ business_date('valid_from') }} as valid_from_date,
        {{ clean_text('department') }} as department,
        {{ clean_text('category') }} as category,
        {{ clean_text('brand') }} as brand,
        is_private_label,
        list_price_amount,
        ingested_at,
        unreadable_columns
    from products
),

checked as (
    select
        *,
        case
            when product_id is null then 'product_missing'
            when unreadable_columns != '' then 'value_unreadable'
            when valid_from is not null and not {{ is_possible_date('valid_from_date') }} then 'date_impossible'
            when list_price_amount < 0 then 'amount_negative'
        end as own_reason
    from cleaned
),

-- A bad copy never takes the place of a good one.
numbered as (
    select
        *,
        row_number() over (
            partition by product_id, valid_from
            order by
                case when own_reason is null then 0 else 1 end,
                ingested_at desc nulls last,
                {{ row_content(['department', 'category', 'brand', 'is_private_label', 'list_price_amount']) }}
        ) as copy_number
    from checked
),

final as (
    select
        *,
        coalesce(own_reason, case when copy_number > 1 then 'duplicate' end) as quarantine_reason
    from numbered
)

select * from final
