{#-
  Promoted features laid out in rows of as_of_date, customer_id, feature and a value, for the dates of the CTE `dates`;
  what is not known has no row. features: as `profiled_features` returns them. value: the column's name; data_type: its
  type. Spark would read a table once for each of its columns.
-#}
{% macro features_in_rows(features, value, data_type) -%}
    {{ return(adapter.dispatch('features_in_rows', 'customer_segmentation')(features, value, data_type)) }}
{%- endmacro %}

{% macro no_features_in_rows(value, data_type) -%}
    select
        cast(null as date) as as_of_date,
        cast(null as string) as customer_id,
        cast(null as string) as feature,
        cast(null as {{ data_type }}) as {{ value }}
    where 1 = 0
{%- endmacro %}

{% macro default__features_in_rows(features, value, data_type) -%}
    {%- for feature in features %}
    select
        features.as_of_date,
        features.customer_id,
        '{{ feature.column }}' as feature,
        cast({{ feature.column }} as {{ data_type }}) as {{ value }}
    from {{ source('promoted', feature.table) }} as features
    inner join dates on features.as_of_date = dates.as_of_date
    where {{ feature.column }} is not null
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- else %}
    {{ no_features_in_rows(value, data_type) }}
    {%- endfor %}
{%- endmacro %}

{% macro spark__features_in_rows(features, value, data_type) -%}
    {%- for table, columns in features | groupby('table') %}
    select *
    from (
        select
            features.as_of_date,
            features.customer_id,
            stack(
                {{ columns | length }}
                {%- for feature in columns %},
                '{{ feature.column }}', cast(features.{{ feature.column }} as {{ data_type }})
                {%- endfor %}
            ) as (feature, {{ value }})
        from {{ source('promoted', table) }} as features
        inner join dates on features.as_of_date = dates.as_of_date
    )
    where {{ value }} is not null
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- else %}
    {{ no_features_in_rows(value, data_type) }}
    {%- endfor %}
{%- endmacro %}
