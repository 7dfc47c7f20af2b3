{{ config(
    materialized=checked_materialization(),
    incremental_strategy=checked_strategy(),
    unique_key=['event_id'],
) }}

with feedback as (
    select * from {{ ref('input_feedback') }}
),

known_customers as (
    select * from {{ ref('stg_known_customers') }}
),

landed as (
    select
        {{ clean_text('event_id') }} as event_id,
        {{ clean_text('customer_id') }} as customer_id,
        {{ clean_text('feedback_type') }} as feedback_type,
        occurred_at,
        {{ business_date('occurred_at') }} as event_date,
        score,
        {{ clean_text('score_scale') }} as score_scale,
        {{ clean_text('product_id') }} as product_id,
        ingested_at,
        unreadable_columns
    from feedback
    {{ of_landed_files() }}
),

{{ landed_and_touched(
    key=['event_id'],
    touched_by=['customers'],
) }},

checked as (
    select
        cleaned.*,
        case
            when cleaned.event_id is null then 'event_missing'
            when cleaned.unreadable_columns != '' then 'value_unreadable'
            when cleaned.customer_id is null then 'customer_missing'
            when cleaned.occurred_at is null then 'date_missing'
            when not {{ is_possible_date('cleaned.event_date') }} then 'date_impossible'
            when coalesce(cleaned.feedback_type, '') not in ('survey', 'review', 'complaint')
                then 'feedback_type_unknown'
            when known_customers.customer_id is null then 'customer_unknown'
            when known_customers.known_from_date > cleaned.event_date then 'customer_unknown'
            when
                cleaned.score is not null
                and coalesce(cleaned.score_scale, '') not in ('nps_0_10', 'stars_1_5', 'csat_1_5')
                then 'score_scale_unknown'
            when cleaned.score_scale = 'nps_0_10' and (cleaned.score < 0 or cleaned.score > 10)
                then 'score_out_of_scale'
            when cleaned.score_scale in ('stars_1_5', 'csat_1_5') and (cleaned.score < 1 or cleaned.score > 5)
                then 'score_out_of_scale'
        end as own_reason
    from cleaned
    left join known_customers on cleaned.customer_id = known_customers.customer_id
),

{{ copies_set_aside(
    'checked',
    key=['event_id'],
    content=['occurred_at', 'customer_id', 'feedback_type', 'score', 'score_scale', 'product_id'],
    event_date='event_date',
) }}

select * from final
