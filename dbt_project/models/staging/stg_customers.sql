-- A customer whose own row was set aside stays known by id: its orders are no orphans because of a birth date.
with checked as (
    select * from {{ ref('stg_customers_checked') }}
),

versions as (
    select
        customer_id,
        valid_from_date,
        lead(valid_from_date) over (
            partition by customer_id order by valid_from asc nulls first
        ) as valid_to_date,
        signup_date,
        birth_date,
        age_band,
        gender,
        income_amount,
        income_band,
        country,
        region,
        city,
        postal_code,
        language,
        ethnicity,
        household_size,
        marital_status,
        education,
        acquisition_channel
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
