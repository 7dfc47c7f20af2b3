with lineage as (
    select
        model_version,
        min(refit_date) as effective_from
    from {{ source('promoted', 'lineage') }}
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
        lineage.effective_from,
        models.parent_version,
        models.customers_fitted,
        models.parameters
    from {{ source('promoted', 'models') }} as models
    -- A model that a repair replaced is kept in the warehouse, and published no more.
    inner join lineage on models.model_version = lineage.model_version
)

select * from final
