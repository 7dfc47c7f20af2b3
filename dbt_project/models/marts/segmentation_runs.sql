with runs as (
    select * from {{ source('promoted', 'runs') }}
),

recorded as (
    select * from {{ source('promoted', 'run_inputs') }}
),

feature_inputs as (
    select * from {{ source('promoted', 'feature_inputs') }}
),

-- What the job finds of runs that a run today would compute from something else.
stale_runs as (
    select * from {{ source('pipeline', 'stale_runs') }}
),

inputs as (
    select
        as_of_date,
        lens,
        max(case when input = 'rows_in_scope' then content_hash end) as rows_in_scope,
        max(case when input = 'features_logic' then content_hash end) as features_logic,
        max(case when input = 'lens' then content_hash end) as lens_version,
        max(case when input = 'model' then content_hash end) as model
    from recorded
    group by
        as_of_date,
        lens
),

final as (
    select
        runs.as_of_date,
        runs.lens,
        runs.model_version,
        runs.algorithm,
        runs.k,
        runs.customers,
        runs.mean_squared_distance,
        runs.davies_bouldin,
        runs.silhouette,
        runs.jaccard_stability,
        runs.held_out_value,
        runs.smallest_share,
        runs.outlier_share,
        runs.imputed_share,
        runs.missing_shares,
        runs.choice_reason,
        'passed' as gate_outcome,
        feature_inputs.rows_in,
        feature_inputs.rows_kept,
        feature_inputs.rows_quarantined,
        concat(
            '{"features_logic": "', inputs.features_logic, '", "lens": "', inputs.lens_version,
            '", "model": "', inputs.model, '", "rows_in_scope": "', inputs.rows_in_scope, '"}'
        ) as input_hashes,
        stale_runs.reason as stale_reason
    from runs
    inner join inputs
        on
            runs.as_of_date = inputs.as_of_date
            and runs.lens = inputs.lens
    inner join feature_inputs on runs.as_of_date = feature_inputs.as_of_date
    left join stale_runs
        on
            runs.as_of_date = stale_runs.as_of_date
            and runs.lens = stale_runs.lens
)

select * from final
