{#- The calendar day of a UTC timestamp in the business time zone (setting SEGMENTATION_TIMEZONE). -#}
{% macro business_date(timestamp_at) -%}
    {{ return(adapter.dispatch('business_date', 'customer_segmentation')(timestamp_at)) }}
{%- endmacro %}

{% macro duckdb__business_date(timestamp_at) -%}
    cast(timezone('{{ env_var('SEGMENTATION_TIMEZONE', 'UTC') }}', timezone('UTC', {{ timestamp_at }})) as date)
{%- endmacro %}

{% macro spark__business_date(timestamp_at) -%}
    cast(from_utc_timestamp({{ timestamp_at }}, '{{ env_var('SEGMENTATION_TIMEZONE', 'UTC') }}') as date)
{%- endmacro %}


{#- Sixty bits of a row's content as an integer, equal on every engine; summed, a hash that ignores row order. -#}
{% macro row_hash(columns) -%}
    {{ return(adapter.dispatch('row_hash', 'customer_segmentation')(columns)) }}
{%- endmacro %}

{% macro row_content(columns) -%}
    concat_ws('|'{% for column in columns %}, coalesce(cast({{ column }} as string), '~'){% endfor %})
{%- endmacro %}

{% macro duckdb__row_hash(columns) -%}
    cast('0x' || substr(md5({{ row_content(columns) }}), 1, 15) as bigint)
{%- endmacro %}

{% macro spark__row_hash(columns) -%}
    cast(conv(substr(md5({{ row_content(columns) }}), 1, 15), 16, 10) as bigint)
{%- endmacro %}


{#- A double as text for a hash: to nine decimals, since engines write exponents differently; as it is beyond 1e29. -#}
{% macro double_text(expression) -%}
    coalesce(cast(try_cast({{ expression }} as decimal(38, 9)) as string), cast({{ expression }} as string))
{%- endmacro %}

{#- The first day of the month that a date lies in. -#}
{% macro month_of(date_column) -%}
    cast({{ dbt.date_trunc('month', date_column) }} as date)
{%- endmacro %}

{#- The first day of a month some months later; of one before, for a negative number. -#}
{% macro months_later(month_count, month_column) -%}
    cast({{ dbt.dateadd('month', month_count, month_column) }} as date)
{%- endmacro %}


{#- a / b as a double, null where b is zero: on no engine an error, an inf or an integer division. -#}
{% macro ratio(numerator, denominator) -%}
    (cast({{ numerator }} as double) / nullif(cast({{ denominator }} as double), 0))
{%- endmacro %}

{#- x² of a decimal without loss. DuckDB multiplies decimals of 18 digits within 18 digits, and overflows. -#}
{% macro exact_square(expression, scale) -%}
    {{ return(adapter.dispatch('exact_square', 'customer_segmentation')(expression, scale)) }}
{%- endmacro %}

{% macro duckdb__exact_square(expression, scale) -%}
    (cast({{ expression }} as decimal(19, {{ scale }})) * cast({{ expression }} as decimal(19, {{ scale }})))
{%- endmacro %}

{% macro spark__exact_square(expression, scale) -%}
    (cast({{ expression }} as decimal(18, {{ scale }})) * cast({{ expression }} as decimal(18, {{ scale }})))
{%- endmacro %}


{#- The one rounding of a feature that is neither money nor a count. -#}
{% macro rounded(expression) -%}
    {{ rounded_to(expression, 6) }}
{%- endmacro %}

{#- A double to some decimals. DuckDB rounds the double's product with a power of ten, Spark what the double is as text. -#}
{% macro rounded_to(expression, decimals) -%}
    {{ return(adapter.dispatch('rounded_to', 'customer_segmentation')(expression, decimals)) }}
{%- endmacro %}

{% macro default__rounded_to(expression, decimals) -%}
    round({{ expression }}, {{ decimals }})
{%- endmacro %}

{% macro spark__rounded_to(expression, decimals) -%}
    (round(cast({{ expression }} as double) * 1e{{ decimals }}D) / 1e{{ decimals }}D)
{%- endmacro %}

{#- The median of doubles: half of each of the two in the middle. Spark's own adds half their distance to the lower. -#}
{% macro median_of(expression) -%}
    {{ return(adapter.dispatch('median_of', 'customer_segmentation')(expression)) }}
{%- endmacro %}

{% macro default__median_of(expression) -%}
    percentile_cont(0.5) within group (order by {{ expression }})
{%- endmacro %}

{% macro spark__median_of(expression) -%}
    (
        0.5D * percentile_disc(0.5) within group (order by {{ expression }})
        + 0.5D * percentile_disc(0.5) within group (order by {{ expression }} desc)
    )
{%- endmacro %}

{% macro rounded_ratio(numerator, denominator) -%}
    {{ rounded(ratio(numerator, denominator)) }}
{%- endmacro %}

{#- An amount per thing, half a cent up: in whole cents, since engines round a double's half cent differently. -#}
{% macro money_ratio(numerator, denominator) -%}
    cast(
        cast(
            floor({{ ratio(
                '(round(200 * cast(' ~ numerator ~ ' as double)) + cast(' ~ denominator ~ ' as double))',
                '(2 * ' ~ denominator ~ ')'
            ) }}) as decimal(19, 0)
        ) * cast(0.01 as decimal(3, 2)) as decimal(18, 2)
    )
{%- endmacro %}

{#- True on Saturdays and Sundays. 1969-12-29 was a Monday; both engines count days the same way. -#}
{% macro is_weekend(date_column) -%}
    ({{ dbt.datediff("cast('1969-12-29' as date)", date_column, 'day') }} % 7 >= 5)
{%- endmacro %}

{% macro is_possible_date(date_column) -%}
    (
        {{ date_column }} >= cast('{{ var("earliest_possible_date") }}' as date)
        and {{ date_column }} < cast('{{ var("latest_possible_date") }}' as date)
    )
{%- endmacro %}

{#- Empty and blank text is no value. -#}
{% macro clean_text(column) -%}
    {{ return(adapter.dispatch('clean_text', 'customer_segmentation')(column)) }}
{%- endmacro %}

{% macro default__clean_text(column) -%}
    nullif(trim({{ column }}), '')
{%- endmacro %}

{#- Spaces of every script go, as in DuckDB, which Spark's own trim would leave. -#}
{% macro spark__clean_text(column) -%}
    nullif(regexp_replace({{ column }}, '^\\p{Zs}+|\\p{Zs}+$', ''), '')
{%- endmacro %}
