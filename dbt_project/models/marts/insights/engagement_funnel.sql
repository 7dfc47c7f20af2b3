{% set stages = ['session', 'view', 'add_to_cart', 'checkout', 'purchase'] %}

with members as (
    select * from {{ ref('insight_members') }}
),

dates as (
    select * from {{ ref('insight_dates') }}
),

-- Who got to a stage was at those before it too, whether or not the source saw it there.
session_days as (
    select
        customer_id,
        session_date,
        view_count > 0 or has_cart or has_checkout or has_purchase as got_to_view,
        has_cart or has_checkout or has_purchase as got_to_cart,
        has_checkout or has_purchase as got_to_checkout,
        has_purchase as got_to_purchase
    from {{ ref('int_customer_session_days') }}
),

customers as (
    select
        dates.as_of_date,
        session_days.customer_id,
        count(*) as session_count,
        count(*) filter (where session_days.got_to_view) as view_count,
        count(*) filter (where session_days.got_to_cart) as add_to_cart_count,
        count(*) filter (where session_days.got_to_checkout) as checkout_count,
        count(*) filter (where session_days.got_to_purchase) as purchase_count
    from dates
    inner join session_days
        on
            session_days.session_date < dates.as_of_date
            and session_days.session_date >= {{ dbt.dateadd('day', -90, 'dates.as_of_date') }}
    group by
        dates.as_of_date,
        session_days.customer_id
),

segments as (
    select
        members.as_of_date,
        members.lens,
        members.segment_id,
        members.segment_name,
        sum(customers.session_count) as session_count,
        sum(customers.view_count) as view_count,
        sum(customers.add_to_cart_count) as add_to_cart_count,
        sum(customers.checkout_count) as checkout_count,
        sum(customers.purchase_count) as purchase_count,
        count(*) filter (where customers.session_count > 0) as session_customer_count,
        count(*) filter (where customers.view_count > 0) as view_customer_count,
        count(*) filter (where customers.add_to_cart_count > 0) as add_to_cart_customer_count,
        count(*) filter (where customers.checkout_count > 0) as checkout_customer_count,
        count(*) filter (where customers.purchase_count > 0) as purchase_customer_count
    from members
    inner join customers
        on
            members.as_of_date = customers.as_of_date
            and members.customer_id = customers.customer_id
    group by
        members.as_of_date,
        members.lens,
        members.segment_id,
        members.segment_name
),

final as (
    {% for stage in stages %}
    select
        as_of_date,
        lens,
        segment_id,
        segment_name,
        '{{ stage }}' as stage,
        cast({{ loop.index }} as integer) as stage_order,
        cast({{ stage }}_count as bigint) as session_count,
        cast({{ stage }}_customer_count as bigint) as customer_count,
        {{ rounded_ratio(stage ~ '_count', 'session_count') }} as session_share,
        {% if loop.first %}
        cast(null as double) as step_share
        {% else %}
        {{ rounded_ratio(stage ~ '_count', loop.previtem ~ '_count') }} as step_share
        {% endif %}
    from segments
    {% if not loop.last %}
    union all
    {% endif %}
    {% endfor %}
)

select * from final
