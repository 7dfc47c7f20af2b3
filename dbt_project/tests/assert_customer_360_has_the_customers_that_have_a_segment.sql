-- A lens that is new may have run for an earlier date only: then its customers are not of the newest date.
with newest as (
    select max(as_of_date) as as_of_date from {{ ref('customer_segments') }}
),

labelled as (
    select distinct
        labels.as_of_date,
        labels.customer_id
    from {{ ref('customer_segments') }} as labels
    inner join newest on labels.as_of_date = newest.as_of_date
),

described as (
    select
        as_of_date,
        customer_id
    from {{ ref('customer_360') }}
)

select
    coalesce(labelled.customer_id, described.customer_id) as customer_id,
    labelled.as_of_date as labelled_as_of,
    described.as_of_date as described_as_of
from labelled
full outer join described
    on
        labelled.customer_id = described.customer_id
        and labelled.as_of_date = described.as_of_date
where
    labelled.customer_id is null
    or described.customer_id is null
