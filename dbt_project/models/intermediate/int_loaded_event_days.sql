-- Built after the facts, as int_loaded_days is.
-- depends_on: {{ ref('int_customer_session_days') }}
-- depends_on: {{ ref('int_customer_viewed_product_days') }}
-- depends_on: {{ ref('int_customer_loyalty_days') }}
with final as (
    select
        entity,
        event_date,
        content_hash,
        '{{ env_var("SEGMENTATION_FACTS_VERSION", "by hand") }}' as facts_version
    from {{ ref('int_input_hashes') }}
    where entity in ('loyalty_events', 'web_events')
)

select * from final
