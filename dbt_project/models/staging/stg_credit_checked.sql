{{ config(
    materialized=checked_materialization(),
    incremental_strategy=checked_strategy(),
    unique_key=['customer_id', 'credit_date'],
) }}

with credit as (
    select * from {{ ref('input_credit') }}
),

known_customers as (
    select * from {{ ref('stg_known_customers') }}
),

landed as (
    select
        {{ clean_text('customer_id') }} as customer_id,
        credit_date,
        limit_amount,
        balance_amount,
        external_score,
        ingested_at,
        unreadable_columns
    from credit
    {{ of_landed_files() }}
),

{{ landed_and_touched(
    key=['customer_id', 'credit_date'],
    touched_by=['customers'],
) }},

checked as (
    select
        cleaned.*,
        case
            when cleaned.customer_id is null then 'customer_missing'
            when cleaned.unreadable_columns != '' then 'value_unreadable'
            when cleaned.credit_date is null then 'date_missing'
            when not {{ is_possible_date('cleaned.credit_date') }} then 'date_impossible'
            when known_customers.customer_id is null then 'customer_unknown'
            when known_customers.known_from_date > cleaned.credit_date then 'customer_unknown'
            when cleaned.limit_amount < 0 then 'limit_negative'
            when cleaned.balance_amount < 0 then 'balance_negative'
            when cleaned.external_score < 0 or cleaned.external_score > 1000 then 'score_out_of_range'
            when
                cleaned.limit_amount >= {{ var('largest_line_amount') }}
                or cleaned.balance_amount >= {{ var('largest_line_amount') }}
                then 'amount_too_large'
        end as own_reason
    from cleaned
    left join known_customers on cleaned.customer_id = known_customers.customer_id
),

{{ copies_set_aside(
    'checked',
    key=['customer_id', 'credit_date'],
    content=['limit_amount', 'balance_amount', 'external_score'],
) }}

select * from final
