{{ config(schema='pipeline', contract={'enforced': false}) }}

-- A table, not a view: what is to be described must not shrink while the marts that describe it are built.
with final as (
    {{ dates_to_describe(starts_anew=flags.FULL_REFRESH) }}
)

select * from final
