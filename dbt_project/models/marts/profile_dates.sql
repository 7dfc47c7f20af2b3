{{ config(materialized='view', contract={'enforced': false}, schema='pipeline') }}

-- What the profiles of a labelled date rest on.
select
    dates.as_of_date,
    concat_ws(
        '/',
        '{{ env_var("SEGMENTATION_MARTS_VERSION", "by hand") }}',
        dates.content_hash,
        cast(count(*) as string),
        cast(
            sum(cast({{ row_hash(['labels.lens', 'labels.customer_id', 'aliases.segment_id',
                            'aliases.segment_name']) }} as decimal(38, 0)))
            as string
        )
    ) as content_hash
from {{ source('promoted', 'dates') }} as dates
inner join {{ source('promoted', 'labels') }} as labels on dates.as_of_date = labels.as_of_date
inner join {{ ref('segment_aliases') }} as aliases
    on
        labels.lens = aliases.lens
        and labels.segment_key = aliases.segment_key
where dates.has_labels
group by
    dates.as_of_date,
    dates.content_hash
