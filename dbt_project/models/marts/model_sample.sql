with final as (
    select
        samples.model_version,
        samples.customer_id,
        aliases.segment_id,
        samples.encoded
    from {{ source('promoted', 'model_samples') }} as samples
    inner join {{ ref('models') }} as models on samples.model_version = models.model_version
    inner join {{ source('promoted', 'model_segments') }} as model_segments
        on
            samples.model_version = model_segments.model_version
            and samples.cluster = model_segments.cluster
    inner join {{ ref('segment_aliases') }} as aliases on model_segments.segment_key = aliases.segment_key
)

select * from final
