with in_effect as (
    select
        model_version,
        min(valid_from) as effective_from,
        case when count(*) = count(valid_to) then max(valid_to) end as effective_to
    from {{ source('pipeline', 'models_in_effect') }}
    group by model_version
),

statuses as (
    select
        model_version,
        min(status) as status
    from {{ source('pipeline', 'model_statuses') }}
    group by model_version
),

final as (
    select
        models.model_version,
        models.lens,
        models.lens_version,
        models.algorithm,
        models.k,
        models.fitted_as_of,
        statuses.status,
        in_effect.effective_from,
        in_effect.effective_to,
        models.parent_version,
        models.customers_fitted,
        models.parameters
    from {{ source('promoted', 'models') }} as models
    -- A model that a repair replaced is kept in the warehouse, and published no more.
    inner join statuses on models.model_version = statuses.model_version
    left join in_effect on models.model_version = in_effect.model_version
)

select * from final
