-- Of fewer than so many people nothing is said: it would be about persons.
{% set smallest_group = 10 %}

with dates as (
    select * from {{ ref('insight_dates') }}
),

-- Shares among those who are known: where more is missing, nobody is fewer.
known as (
    select
        distribution.*,
        sum(distribution.customer_count) over (
            partition by distribution.as_of_date, distribution.lens, distribution.segment_id, distribution.attribute
        ) as known_customer_count
    from {{ ref('demographic_distribution') }} as distribution
    inner join dates on distribution.as_of_date = dates.as_of_date
    where
        distribution.attribute in ('gender', 'ethnicity', 'language', 'age_band')
        and distribution.attribute_value != 'unknown'
),

shares as (
    select
        *,
        {{ ratio('customer_count', 'known_customer_count') }} as customer_share_of_known
    from known
),

final as (
    select
        segments.as_of_date,
        segments.lens,
        segments.segment_id,
        segments.segment_name,
        segments.attribute,
        segments.attribute_value,
        segments.customer_count,
        {{ rounded('segments.customer_share_of_known') }} as segment_share,
        {{ rounded('population.customer_share_of_known') }} as population_share,
        {{ rounded('segments.customer_share_of_known - population.customer_share_of_known') }} as share_difference,
        {{ rounded_ratio('segments.customer_share_of_known', 'population.customer_share_of_known') }}
            as representation_ratio
    from shares as segments
    inner join shares as population
        on
            segments.as_of_date = population.as_of_date
            and segments.attribute = population.attribute
            and segments.attribute_value = population.attribute_value
    where
        segments.lens != 'all'
        and population.lens = 'all'
        and segments.customer_count >= {{ smallest_group }}
        and population.customer_count >= {{ smallest_group }}
)

select * from final
