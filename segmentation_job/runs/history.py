"""The history of labels by interval, into which a date can be put in any order."""

from datetime import date

from segmentation_job.warehouse.interface import Warehouse


def splice_into_history(
    warehouse: Warehouse, lens: str, as_of: date, previous_date: date | None, next_date: date | None
) -> None:
    """Put the promoted labels of a date into `promoted.label_history`, between its neighbours.

    previous_date, next_date: the labelled dates around it, None where there is none. Reads the tables
    `day_labels` (customer_id, segment_key, under_previous_model) and `next_under_this_model` (customer_id,
    segment_key), which say what the neighbouring models make of a customer: by them a change is the customer's, the
    model's, or both's. Only the intervals that touch the neighbours are written again.
    """
    warehouse.create_temporary(
        "spliced_history",
        """
        with before as (
            select customer_id, valid_from, segment_key, change_cause
            from promoted.label_history
            where lens = $1 and valid_from <= cast($3 as date) and (valid_to is null or valid_to > cast($3 as date))
        ),
        after as (
            select customer_id, valid_to, segment_key
            from promoted.label_history
            where lens = $1 and valid_from <= cast($4 as date) and (valid_to is null or valid_to > cast($4 as date))
        ),
        -- Who is away at the next date may come back later.
        later as (
            select customer_id, min(valid_from) as valid_from
            from promoted.label_history
            where lens = $1 and valid_from > cast($4 as date)
            group by customer_id
        ),
        customers as (
            select customer_id from before
            union
            select customer_id from day_labels
            union
            select customer_id from after
        ),
        at_previous as (
            select customer_id, valid_from, segment_key, change_cause, true as is_known from before
        ),
        at_day as (
            select
                customers.customer_id,
                cast($2 as date) as valid_from,
                day_labels.segment_key,
                case
                    when day_labels.segment_key is null then 'left'
                    when before.segment_key is null then 'new'
                    -- Null where the features of the model before exist no more.
                    when coalesce(day_labels.under_previous_model, before.segment_key) = before.segment_key
                        then 'model_changed'
                    when day_labels.under_previous_model = day_labels.segment_key then 'customer_moved'
                    else 'both'
                end as change_cause,
                false as is_known
            from customers
            left join day_labels on customers.customer_id = day_labels.customer_id
            left join before on customers.customer_id = before.customer_id
        ),
        at_next as (
            select
                customers.customer_id,
                cast($4 as date) as valid_from,
                after.segment_key,
                case
                    when after.segment_key is null then 'left'
                    when day_labels.segment_key is null then 'new'
                    when coalesce(next_under_this_model.segment_key, day_labels.segment_key) = day_labels.segment_key
                        then 'model_changed'
                    when next_under_this_model.segment_key = after.segment_key then 'customer_moved'
                    else 'both'
                end as change_cause,
                false as is_known
            from customers
            left join after on customers.customer_id = after.customer_id
            left join day_labels on customers.customer_id = day_labels.customer_id
            left join next_under_this_model on customers.customer_id = next_under_this_model.customer_id
            where cast($4 as date) is not null
        ),
        points as (
            select * from at_previous
            union all
            select * from at_day
            union all
            select * from at_next
        ),
        compared as (
            select
                *,
                lag(segment_key) over (partition by customer_id order by valid_from) as segment_key_before
            from points
        ),
        changes as (
            select * from compared where is_known or segment_key is distinct from segment_key_before
        )
        select
            cast($1 as string) as lens,
            changes.customer_id,
            changes.valid_from,
            coalesce(
                lead(changes.valid_from) over (partition by changes.customer_id order by changes.valid_from),
                after.valid_to,
                later.valid_from
            ) as valid_to,
            changes.segment_key,
            changes.change_cause
        from changes
        left join after on changes.customer_id = after.customer_id
        left join later on changes.customer_id = later.customer_id
        """,
        (lens, as_of, previous_date, next_date),
    )
    warehouse.replace_rows(
        "promoted.label_history",
        {"lens": lens},
        (
            "(cast($1 as date) is null or valid_from <= cast($1 as date))"
            " and (cast($2 as date) is null or valid_to is null or valid_to > cast($2 as date))",
            (next_date, previous_date),
        ),
        "spliced_history",
    )
    warehouse.drop_temporary("spliced_history")
