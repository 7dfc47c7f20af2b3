{#-
  What has become of a payment that was due before the as-of date, as it was known then: `failed` where it failed and
  was not paid, `on_time` where it was paid by the end of its day, else `late`, whether paid since or still open.
  payments: the alias of stg_payments; as_of_date: the date, an SQL expression.
-#}
{% macro payment_outcome(payments, as_of_date) -%}
    case
        when
            {{ payments }}.failed_date < {{ as_of_date }}
            and ({{ payments }}.paid_date is null or {{ payments }}.paid_date >= {{ as_of_date }})
            then 'failed'
        when {{ payments }}.paid_date <= {{ payments }}.due_date then 'on_time'
        else 'late'
    end
{%- endmacro %}


{#- Days from the day due to the day paid, negative where paid early; null where it was not paid before the as-of date. -#}
{% macro payment_delay_days(payments, as_of_date) -%}
    case
        when {{ payments }}.paid_date < {{ as_of_date }}
            then {{ dbt.datediff(payments ~ '.due_date', payments ~ '.paid_date', 'day') }}
    end
{%- endmacro %}
