-- Append after the hook has taken the months of changed days out: one that lost its last row goes too.
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ delete_changed_months() }}",
) }}

with changed_months as (
    select distinct {{ month_of('order_date') }} as month
    from {{ ref('int_changed_days') }}
),

lines as (
    select
        *,
        {{ month_of('order_date') }} as month
    from {{ ref('stg_order_lines') }}
    where {{ month_of('order_date') }} in (select changed_months.month from changed_months)
),

final as (
    select
        product_id,
        category,
        month,
        cast(sum(item_count) as bigint) as item_count,
        cast(sum(gross_amount) as decimal(18, 2)) as gross_amount
    from lines
    group by
        product_id,
        category,
        month
)

select * from final
