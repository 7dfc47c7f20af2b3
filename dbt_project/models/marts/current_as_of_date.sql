{{ config(materialized='ephemeral', contract={'enforced': false}) }}

-- By lens: a lens that is new has not been computed for every date yet. One that is no more has no current date.
select
    runs.lens,
    max(runs.as_of_date) as as_of_date
from {{ source('promoted', 'runs') }} as runs
inner join {{ source('pipeline', 'versions') }} as versions on versions.part = concat('lens ', runs.lens)
group by runs.lens
