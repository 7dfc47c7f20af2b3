{% set numbers = profiled_features('number') %}
{% set texts = profiled_features('text') %}

with dates as (
    select * from {{ ref('insight_dates') }}
),

labels as (
    select
        labels.as_of_date,
        labels.lens,
        labels.customer_id,
        aliases.segment_id,
        aliases.segment_name
    from {{ source('promoted', 'labels') }} as labels
    inner join dates on labels.as_of_date = dates.as_of_date
    inner join {{ ref('segment_aliases') }} as aliases
        on
            labels.lens = aliases.lens
            and labels.segment_key = aliases.segment_key
),

numbers as (
    {{ features_in_rows(numbers, 'feature_number', 'double') }}
),

-- Sums of decimals, not of doubles: equal whatever the order in which rows are read.
exact_numbers as (
    select
        *,
        cast(feature_number as decimal(18, 6)) as exact_number
    from numbers
),

population_numbers as (
    select
        as_of_date,
        feature,
        {{ ratio('sum(exact_number)', 'count(*)') }} as population_mean,
        {{ median_of('feature_number') }} as population_median,
        sqrt(greatest(
            {{ ratio('sum(' ~ exact_square('exact_number', 6) ~ ')', 'count(*)') }}
            - {{ ratio('sum(exact_number)', 'count(*)') }} * {{ ratio('sum(exact_number)', 'count(*)') }},
            0
        )) as population_deviation
    from exact_numbers
    group by
        as_of_date,
        feature
),

segment_numbers as (
    select
        labels.as_of_date,
        labels.lens,
        labels.segment_id,
        labels.segment_name,
        exact_numbers.feature,
        count(*) as known_customers,
        {{ ratio('sum(exact_numbers.exact_number)', 'count(*)') }} as segment_mean,
        {{ median_of('exact_numbers.feature_number') }} as segment_median
    from labels
    inner join exact_numbers
        on
            labels.as_of_date = exact_numbers.as_of_date
            and labels.customer_id = exact_numbers.customer_id
    group by
        labels.as_of_date,
        labels.lens,
        labels.segment_id,
        labels.segment_name,
        exact_numbers.feature
),

number_profiles as (
    select
        segment_numbers.as_of_date,
        segment_numbers.lens,
        segment_numbers.segment_id,
        segment_numbers.segment_name,
        segment_numbers.feature,
        segment_numbers.known_customers,
        cast(null as string) as feature_value,
        segment_numbers.segment_mean,
        segment_numbers.segment_median,
        cast(null as double) as segment_share,
        population_numbers.population_mean,
        population_numbers.population_median,
        cast(null as double) as population_share,
        {{ ratio(
            'segment_numbers.segment_mean - population_numbers.population_mean',
            'population_numbers.population_deviation'
        ) }} as standardised_difference
    from segment_numbers
    inner join population_numbers
        on
            segment_numbers.as_of_date = population_numbers.as_of_date
            and segment_numbers.feature = population_numbers.feature
),

texts as (
    {{ features_in_rows(texts, 'feature_value', 'string') }}
),

-- The twenty most frequent values of a feature; a thousand cities make no profile.
value_counts as (
    select
        as_of_date,
        feature,
        feature_value,
        count(*) as customers,
        sum(count(*)) over (partition by as_of_date, feature) as known_customers,
        row_number() over (
            partition by as_of_date, feature
            order by count(*) desc, feature_value asc
        ) as value_rank
    from texts
    group by
        as_of_date,
        feature,
        feature_value
),

frequent_values as (
    select
        *,
        {{ ratio('customers', 'known_customers') }} as population_share
    from value_counts
    where value_rank <= 20
),

segment_known as (
    select
        labels.as_of_date,
        labels.lens,
        labels.segment_id,
        labels.segment_name,
        texts.feature,
        count(*) as known_customers
    from labels
    inner join texts
        on
            labels.as_of_date = texts.as_of_date
            and labels.customer_id = texts.customer_id
    group by
        labels.as_of_date,
        labels.lens,
        labels.segment_id,
        labels.segment_name,
        texts.feature
),

segment_values as (
    select
        labels.as_of_date,
        labels.lens,
        labels.segment_id,
        texts.feature,
        texts.feature_value,
        count(*) as customers
    from labels
    inner join texts
        on
            labels.as_of_date = texts.as_of_date
            and labels.customer_id = texts.customer_id
    group by
        labels.as_of_date,
        labels.lens,
        labels.segment_id,
        texts.feature,
        texts.feature_value
),

shares as (
    select
        segment_known.as_of_date,
        segment_known.lens,
        segment_known.segment_id,
        segment_known.segment_name,
        frequent_values.feature,
        frequent_values.feature_value,
        segment_known.known_customers,
        {{ ratio('coalesce(segment_values.customers, 0)', 'segment_known.known_customers') }} as segment_share,
        frequent_values.population_share
    from segment_known
    inner join frequent_values
        on
            segment_known.as_of_date = frequent_values.as_of_date
            and segment_known.feature = frequent_values.feature
    left join segment_values
        on
            segment_known.as_of_date = segment_values.as_of_date
            and segment_known.lens = segment_values.lens
            and segment_known.segment_id = segment_values.segment_id
            and segment_known.feature = segment_values.feature
            and frequent_values.feature_value = segment_values.feature_value
),

share_profiles as (
    select
        as_of_date,
        lens,
        segment_id,
        segment_name,
        feature,
        known_customers,
        feature_value,
        cast(null as double) as segment_mean,
        cast(null as double) as segment_median,
        segment_share,
        cast(null as double) as population_mean,
        cast(null as double) as population_median,
        population_share,
        {{ ratio(
            'segment_share - population_share', 'sqrt(population_share * (1 - population_share))'
        ) }} as standardised_difference
    from shares
),

profiles as (
    select * from number_profiles
    union all
    select * from share_profiles
),

rounded as (
    select
        as_of_date,
        lens,
        segment_id,
        segment_name,
        feature,
        feature_value,
        {{ rounded('segment_mean') }} as segment_mean,
        {{ rounded('segment_median') }} as segment_median,
        {{ rounded('segment_share') }} as segment_share,
        {{ rounded('population_mean') }} as population_mean,
        {{ rounded('population_median') }} as population_median,
        {{ rounded('population_share') }} as population_share,
        -- Of a handful of people nothing is said: it would be noise, and about persons.
        case when known_customers >= 10 then {{ rounded('standardised_difference') }} end as standardised_difference
    from profiles
),

final as (
    select
        *,
        cast(row_number() over (
            partition by as_of_date, lens, segment_id
            order by abs(standardised_difference) desc nulls last, feature asc, feature_value asc nulls first
        ) as integer) as {{ adapter.quote("rank") }}
    from rounded
)

select * from final
