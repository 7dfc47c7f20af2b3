{% set attributes = ['age_band', 'gender', 'income_band', 'country', 'region', 'city', 'language', 'ethnicity',
                     'household_size', 'marital_status', 'education', 'acquisition_channel'] %}
{% set named_city_count = 50 %}

with dates as (
    select * from {{ ref('insight_dates') }}
),

members as (
    select * from {{ ref('insight_members') }}
),

features as (
    select demographic_features.*
    from {{ source('promoted', 'demographic_features') }} as demographic_features
    inner join dates on demographic_features.as_of_date = dates.as_of_date
),

cities as (
    select
        as_of_date,
        city,
        row_number() over (
            partition by as_of_date
            order by count(*) desc, city asc
        ) as city_rank
    from features
    where city is not null
    group by
        as_of_date,
        city
),

described as (
    select
        members.as_of_date,
        members.lens,
        members.segment_id,
        members.segment_name,
        {% for attribute in attributes if attribute != 'city' %}
        cast(features.{{ attribute }} as string) as {{ attribute }},
        {% endfor %}
        case
            when cities.city_rank <= {{ named_city_count }} then features.city
            when cities.city is not null then 'other'
        end as city
    from members
    inner join features
        on
            members.as_of_date = features.as_of_date
            and members.customer_id = features.customer_id
    left join cities
        on
            features.as_of_date = cities.as_of_date
            and features.city = cities.city
),

counts as (
    {% for attribute in attributes %}
    select
        as_of_date,
        lens,
        segment_id,
        segment_name,
        '{{ attribute }}' as attribute,
        coalesce({{ attribute }}, 'unknown') as attribute_value,
        count(*) as customer_count,
        count({{ attribute }}) as known_count
    from described
    group by
        as_of_date,
        lens,
        segment_id,
        segment_name,
        coalesce({{ attribute }}, 'unknown')
    {% if not loop.last %}
    union all
    {% endif %}
    {% endfor %}
),

-- An attribute that is known of nobody says nothing.
shares as (
    select
        *,
        sum(customer_count) over (partition by as_of_date, lens, segment_id, attribute) as segment_customer_count,
        sum(known_count) over (partition by as_of_date, attribute) as attribute_known_count
    from counts
),

final as (
    select
        as_of_date,
        lens,
        segment_id,
        segment_name,
        attribute,
        attribute_value,
        cast(customer_count as bigint) as customer_count,
        {{ rounded_ratio('customer_count', 'segment_customer_count') }} as customer_share
    from shares
    where attribute_known_count > 0
)

select * from final
