with final as (
    select candidates.*
    from {{ source('promoted', 'model_candidates') }} as candidates
    inner join {{ ref('models') }} as models on candidates.model_version = models.model_version
)

select * from final
