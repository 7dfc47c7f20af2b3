-- Every household that the source names. It knows no registration and keeps no history of its demographics.
with households as (
    select household_id from {{ source('landing', 'transactions') }}
    union
    select household_id from {{ source('landing', 'demographics') }}
    union
    select household_id from {{ source('landing', 'campaigns') }}
),

customers as (
    select
        households.household_id,
        demographics.age,
        demographics.income,
        demographics.household_size,
        demographics.marital_status
    from households
    left join {{ source('landing', 'demographics') }} as demographics
        on households.household_id = demographics.household_id
)

{{ map_to_contract(
    'customers',
    {
        'customer_id': 'household_id',
        'age_band': 'age',
        'income_band': 'income',
        'household_size': "replace(household_size, '+', '')",
        'marital_status': 'marital_status',
    },
) }}
