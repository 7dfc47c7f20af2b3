with runs as (
    select * from {{ source('promoted', 'runs') }}
),

recorded as (
    select * from {{ source('promoted', 'run_inputs') }}
),

feature_inputs as (
    select * from {{ source('promoted', 'feature_inputs') }}
),

lineage as (
    select * from {{ source('promoted', 'lineage') }}
),

models_in_effect as (
    select * from {{ source('pipeline', 'models_in_effect') }}
),

-- What the job itself finds, which knows more than can be said of a single input: settings, refits still to be done.
stale_runs as (
    select * from {{ source('pipeline', 'stale_runs') }}
),

-- What the features of each date would rest on today.
promoted_scope as (
    select
        feature_inputs.as_of_date,
        input_scope.rows_hash,
        row_number() over (
            partition by feature_inputs.as_of_date
            order by input_scope.event_date desc
        ) as day_rank
    from feature_inputs
    inner join {{ ref('int_input_scope') }} as input_scope on input_scope.event_date < feature_inputs.as_of_date
),

-- The dates with features whose rows or logic are not today's.
outdated_dates as (
    select feature_inputs.as_of_date
    from feature_inputs
    inner join promoted_scope
        on
            feature_inputs.as_of_date = promoted_scope.as_of_date
            and promoted_scope.day_rank = 1
    inner join {{ source('pipeline', 'versions') }} as versions on versions.part = 'features_logic'
    -- What went into a run is known longer than the features are kept.
    inner join {{ source('promoted', 'dates') }} as dates on feature_inputs.as_of_date = dates.as_of_date
    where
        feature_inputs.rows_hash != promoted_scope.rows_hash
        or feature_inputs.features_version != versions.version
),

-- What went into labels and models when they were made, where it would be something else today. A date that is kept no
-- more is taken to be what it was.
changed_leanings as (
    select
        leanings.lens,
        leanings.subject,
        leanings.subject_date,
        leanings.leans_on_date
    from (
        select
            lens,
            'labels' as subject,
            as_of_date as subject_date,
            leans_on_date,
            content_hash
        from {{ source('promoted', 'run_dates') }}
        where leans_on_date != as_of_date
        union all
        select
            lens,
            'model' as subject,
            refit_date as subject_date,
            leans_on_date,
            content_hash
        from {{ source('promoted', 'lineage_dates') }}
    ) as leanings
    left join {{ source('promoted', 'dates') }} as dates on leanings.leans_on_date = dates.as_of_date
    left join outdated_dates on leanings.leans_on_date = outdated_dates.as_of_date
    where
        outdated_dates.as_of_date is not null
        or leanings.content_hash != dates.content_hash
),

outdated_refits as (
    select distinct
        runs.as_of_date,
        runs.lens
    from runs
    inner join changed_leanings
        on
            runs.lens = changed_leanings.lens
            and changed_leanings.subject = 'model'
            and changed_leanings.subject_date <= runs.as_of_date
            -- Of its own features a run says so itself.
            and changed_leanings.leans_on_date != runs.as_of_date
),

outdated_labels as (
    select distinct
        lens,
        subject_date as as_of_date
    from changed_leanings
    where subject = 'labels'
),

-- A lens that is switched off is computed no more: nothing makes what it found stale.
running_lenses as (
    select substr(part, 6) as lens
    from {{ source('pipeline', 'versions') }}
    where part like 'lens %'
),

-- A date that is not kept counts as what it was: it is not made again unless somebody asks for it.
kept_dates as (
    select as_of_date
    from {{ source('promoted', 'dates') }}
    where has_labels
),

lineage_starts as (
    select
        lens,
        min(refit_date) as lineage_start
    from lineage
    group by lens
),

-- What the same run would rest on today.
today as (
    select
        runs.as_of_date,
        runs.lens,
        'rows_in_scope' as input,
        promoted_scope.rows_hash as content_hash
    from runs
    inner join promoted_scope
        on
            runs.as_of_date = promoted_scope.as_of_date
            and promoted_scope.day_rank = 1
    union all
    select
        runs.as_of_date,
        runs.lens,
        'features_logic' as input,
        versions.version as content_hash
    from runs
    inner join {{ source('pipeline', 'versions') }} as versions on versions.part = 'features_logic'
    union all
    select
        runs.as_of_date,
        runs.lens,
        'lens' as input,
        versions.version as content_hash
    from runs
    inner join {{ source('pipeline', 'versions') }} as versions on versions.part = concat('lens ', runs.lens)
    union all
    select
        runs.as_of_date,
        runs.lens,
        'model' as input,
        models_in_effect.model_version as content_hash
    from runs
    inner join models_in_effect
        on
            runs.lens = models_in_effect.lens
            and models_in_effect.valid_from <= runs.as_of_date
            and (models_in_effect.valid_to is null or runs.as_of_date < models_in_effect.valid_to)
),

compared as (
    select
        recorded.as_of_date,
        recorded.lens,
        max(case when recorded.input = 'rows_in_scope' then recorded.content_hash end) as rows_in_scope,
        max(case when recorded.input = 'features_logic' then recorded.content_hash end) as features_logic,
        max(case when recorded.input = 'lens' then recorded.content_hash end) as lens_version,
        max(case when recorded.input = 'model' then recorded.content_hash end) as model,
        max(case when recorded.input = 'rows_in_scope' and recorded.is_other then 'source rows changed' end)
            as rows_reason,
        max(case when recorded.input = 'features_logic' and recorded.is_other then 'feature logic changed' end)
            as logic_reason,
        max(case when recorded.input = 'lens' and recorded.is_other then 'lens changed' end)
            as lens_reason,
        max(case when recorded.input = 'model' and recorded.is_other then 'model was fitted anew' end)
            as model_reason
    from (
        select
            recorded.*,
            today.content_hash is null or today.content_hash != recorded.content_hash as is_other
        from recorded
        left join today
            on
                recorded.as_of_date = today.as_of_date
                and recorded.lens = today.lens
                and recorded.input = today.input
    ) as recorded
    group by
        recorded.as_of_date,
        recorded.lens
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
            '{"features_logic": "', compared.features_logic, '", "lens": "', compared.lens_version,
            '", "model": "', compared.model, '", "rows_in_scope": "', compared.rows_in_scope, '"}'
        ) as input_hashes,
        case
            when running_lenses.lens is not null and kept_dates.as_of_date is not null
                then coalesce(
                        nullif(
                            concat_ws(
                                '; ',
                                compared.rows_reason,
                                compared.logic_reason,
                                compared.lens_reason,
                                compared.model_reason,
                                case
                                    when outdated_refits.as_of_date is not null
                                        then 'a refit date before it is outdated'
                                end,
                                case
                                    when outdated_labels.as_of_date is not null
                                        then 'a date that it leans on is outdated'
                                end,
                                case
                                    when lineage_starts.lineage_start != runs.lineage_start
                                        then 'the lineage of models starts earlier'
                                end
                            ),
                            ''
                        ),
                        case
                            when stale_runs.as_of_date is not null
                                then 'a run today would rest on other models or dates'
                        end
                    )
        end as stale_reason
    from runs
    inner join compared
        on
            runs.as_of_date = compared.as_of_date
            and runs.lens = compared.lens
    inner join feature_inputs on runs.as_of_date = feature_inputs.as_of_date
    left join outdated_refits
        on
            runs.as_of_date = outdated_refits.as_of_date
            and runs.lens = outdated_refits.lens
    left join stale_runs
        on
            runs.as_of_date = stale_runs.as_of_date
            and runs.lens = stale_runs.lens
    left join outdated_labels
        on
            runs.as_of_date = outdated_labels.as_of_date
            and runs.lens = outdated_labels.lens
    left join lineage_starts on runs.lens = lineage_starts.lens
    left join running_lenses on runs.lens = running_lenses.lens
    left join kept_dates on runs.as_of_date = kept_dates.as_of_date
)

select * from final
