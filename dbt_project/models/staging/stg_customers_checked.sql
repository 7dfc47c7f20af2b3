{{ config(
    materialized=checked_materialization(),
    incremental_strategy=checked_strategy(),
    unique_key=['customer_id', 'valid_from'],
) }}

with customers as (
    select * from {{ ref('input_customers') }}
),

landed as (
    select
        {{ clean_text('customer_id') }} as customer_id,
        valid_from,
        {{ business_date('valid_from') }} as valid_from_date,
        signup_date,
        birth_date,
        {{ clean_text('age_band') }} as age_band,
        {{ clean_text('gender') }} as gender,
        income_amount,
        {{ clean_text('income_band') }} as income_band,
        {{ clean_text('country') }} as country,
        {{ clean_text('region') }} as region,
        {{ clean_text('city') }} as city,
        {{ clean_text('postal_code') }} as postal_code,
        {{ clean_text('language') }} as language,
        {{ clean_text('ethnicity') }} as ethnicity,
        household_size,
        {{ clean_text('marital_status') }} as marital_status,
        {{ clean_text('education') }} as education,
        {{ clean_text('acquisition_channel') }} as acquisition_channel,
        ingested_at,
        unreadable_columns
    from customers
    {{ of_landed_files() }}
),

{{ landed_and_touched(
    key=['customer_id', 'valid_from'],
) }},

checked as (
    select
        *,
        case
            when customer_id is null then 'customer_missing'
            when unreadable_columns != '' then 'value_unreadable'
            when valid_from is not null and not {{ is_possible_date('valid_from_date') }} then 'date_impossible'
            when signup_date is not null and not {{ is_possible_date('signup_date') }} then 'date_impossible'
            when
                birth_date < cast('1890-01-01' as date)
                or birth_date >= cast('{{ var("latest_possible_date") }}' as date)
                then 'date_impossible'
            when household_size < 1 then 'household_size_not_positive'
            when income_amount < 0 then 'income_negative'
        end as own_reason
    from cleaned
),

{{ copies_set_aside(
    'checked',
    key=['customer_id', 'valid_from'],
    content=['signup_date', 'birth_date', 'age_band', 'gender', 'income_amount', 'income_band', 'country',
             'region', 'city', 'postal_code', 'language', 'ethnicity', 'household_size', 'marital_status',
             'education', 'acquisition_channel'],
) }}

select * from final
