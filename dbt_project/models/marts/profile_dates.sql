{{ config(materialized='view', contract={'enforced': false}, schema='pipeline') }}

-- What is said of a labelled date rests on its features and labels, and on the rows and logic of the run that it
-- was last promoted by: insights read facts that no feature shows.
select
    dates.as_of_date,
    concat_ws(
        '/',
        '{{ env_var("SEGMENTATION_MARTS_VERSION", "by hand") }}',
        dates.content_hash,
        coalesce(feature_inputs.rows_hash, '~'),
        coalesce(feature_inputs.features_version, '~'),
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
left join {{ source('promoted', 'feature_inputs') }} as feature_inputs on dates.as_of_date = feature_inputs.as_of_date
where dates.has_labels
group by
    dates.as_of_date,
    dates.content_hash,
    feature_inputs.rows_hash,
    feature_inputs.features_version
