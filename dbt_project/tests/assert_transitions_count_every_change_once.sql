with changes as (
    select
        valid_from as as_of_date,
        lens,
        count(*) as customers
    from {{ ref('customer_segment_history') }}
    group by
        valid_from,
        lens
),

transitions as (
    select
        as_of_date,
        lens,
        sum(customers) as customers,
        sum(customer_moved + model_changed + {{ adapter.quote('both') }}) as explained_customers,
        sum(case when from_segment_id is not null and to_segment_id is not null then customers else 0 end)
            as changed_customers
    from {{ ref('segment_transitions') }}
    group by
        as_of_date,
        lens
)

select
    coalesce(changes.as_of_date, transitions.as_of_date) as as_of_date,
    coalesce(changes.lens, transitions.lens) as lens,
    changes.customers as customers_in_history,
    transitions.customers as customers_in_transitions
from changes
full outer join transitions
    on
        changes.as_of_date = transitions.as_of_date
        and changes.lens = transitions.lens
where
    changes.customers is null
    or transitions.customers is null
    or changes.customers != transitions.customers
    or transitions.explained_customers != transitions.changed_customers
