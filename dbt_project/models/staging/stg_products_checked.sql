{{ config(
    materialized=checked_materialization(),
    incremental_strategy=checked_strategy(),
    unique_key=['product_id', 'valid_from'],
) }}

with products as (
    select * from {{ ref('input_products') }}
),

landed as (
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
    {{ of_landed_files() }}
),

{{ landed_and_touched(
    key=['product_id', 'valid_from'],
) }},

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

{{ copies_set_aside(
    'checked',
    key=['product_id', 'valid_from'],
    content=['department', 'category', 'brand', 'is_private_label', 'list_price_amount'],
) }}

select * from final
