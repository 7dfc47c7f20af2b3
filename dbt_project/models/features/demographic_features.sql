with scope as (
    select * from {{ ref('int_scope') }}
),

customers as (
    select * from {{ ref('stg_customers') }}
),

known as (
    select
        scope.as_of_date,
        scope.customer_id,
        customers.age_band,
        customers.gender,
        customers.income_amount,
        customers.income_band,
        customers.country,
        customers.region,
        customers.city,
        customers.postal_code,
        customers.language,
        customers.ethnicity,
        customers.household_size,
        customers.marital_status,
        customers.education,
        customers.acquisition_channel,
        -- Nobody is younger than nothing or older than 120: such a day of birth says nothing.
        customers.birth_date < scope.as_of_date
        and customers.birth_date >= {{ dbt.dateadd('year', -120, 'scope.as_of_date') }} as is_possible_birth_date,
        -- Birthdays passed: years between, less one where this year's is still to come.
        year(scope.as_of_date) - year(customers.birth_date)
        - case
            when
                month(scope.as_of_date) * 100 + day(scope.as_of_date)
                < month(customers.birth_date) * 100 + day(customers.birth_date)
                then 1
            else 0
        end as years_since_birth
    from scope
    left join customers
        on
            scope.customer_id = customers.customer_id
            and (customers.valid_from_date is null or customers.valid_from_date < scope.as_of_date)
            and (customers.valid_to_date is null or customers.valid_to_date >= scope.as_of_date)
),

aged as (
    select
        *,
        case when is_possible_birth_date then years_since_birth end as age_years
    from known
),

final as (
    select
        as_of_date,
        customer_id,
        cast(age_years as integer) as age_years,
        coalesce(
            age_band,
            case
                when age_years < 19 then 'under 19'
                when age_years < 25 then '19-24'
                when age_years < 35 then '25-34'
                when age_years < 45 then '35-44'
                when age_years < 55 then '45-54'
                when age_years < 65 then '55-64'
                when age_years >= 65 then '65+'
            end
        ) as age_band,
        gender,
        cast(income_amount as decimal(18, 2)) as income_amount,
        coalesce(
            income_band,
            case
                when income_amount < 20000 then 'under 20k'
                when income_amount < 40000 then '20k-39k'
                when income_amount < 60000 then '40k-59k'
                when income_amount < 80000 then '60k-79k'
                when income_amount < 100000 then '80k-99k'
                when income_amount < 150000 then '100k-149k'
                when income_amount >= 150000 then '150k+'
            end
        ) as income_band,
        country,
        region,
        city,
        postal_code,
        language,
        ethnicity,
        cast(household_size as integer) as household_size,
        marital_status,
        education,
        acquisition_channel,
        coalesce(
            age_band, cast(age_years as string), gender, cast(income_amount as string), income_band, country, region,
            city, postal_code, language, ethnicity, cast(household_size as string), marital_status, education
        ) is not null as has_demographics
    from aged
)

select * from final
