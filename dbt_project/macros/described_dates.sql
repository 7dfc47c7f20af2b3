{#-
  The labelled dates that the marts have not described yet, or described from other labels or features. What is
  described stays as it is: a late row changes what is said of a date only when the date is run again, or when the
  marts' own SQL has changed.
  starts_anew: describe every date, because the model that asks holds nothing yet.
-#}
{% macro dates_to_describe(starts_anew) -%}
    {%- set described = adapter.get_relation(this.database, layer_schema('marts'), 'profiled_dates') %}
    select profile_dates.as_of_date
    from {{ ref('profile_dates') }} as profile_dates
    {%- if described is not none and not starts_anew %}
    left join {{ described }} as described
        on
            profile_dates.as_of_date = described.as_of_date
            and profile_dates.content_hash = described.content_hash
    where described.as_of_date is null
    {%- endif %}
{%- endmacro %}


{#- Takes the dates that are described anew, and those no longer labelled, out of a mart that describes dates. -#}
{% macro delete_described_dates() -%}
    {#- Named outside the condition, or dbt would not see that the mart comes after them. -#}
    {%- set described_anew = ref('insight_dates') -%}
    {%- set labelled = ref('profile_dates') -%}
    {%- if is_incremental() -%}
    {{ delete_days(
        'as_of_date',
        'as_of_date in (select as_of_date from ' ~ described_anew ~ ')'
        ~ ' or as_of_date not in (select as_of_date from ' ~ labelled ~ ')'
    ) }}
    {%- endif -%}
{%- endmacro %}


{#- The marts that describe dates: they are described when all of these are built. -#}
{% macro insight_tables() -%}
    {{ return([
        'segment_profiles',
        'demographic_distribution',
        'demographic_disparity',
        'market_trends',
        'competitor_position',
        'financial_summary',
        'credit_risk_bands',
        'payment_habits',
        'product_popularity',
        'product_pairs',
        'seasonal_trends',
        'recurring_orders',
        'category_preferences',
        'loyalty_summary',
        'cohort_retention',
        'engagement_funnel',
        'cart_abandonment',
        'satisfaction',
    ]) }}
{%- endmacro %}
