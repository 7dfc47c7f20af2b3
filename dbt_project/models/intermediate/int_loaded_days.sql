-- Built after the facts, so that facts which were not finished are built again by the next run.
-- depends_on: {{ ref('int_customer_days') }}
-- depends_on: {{ ref('int_customer_product_days') }}
-- depends_on: {{ ref('int_category_days') }}
-- depends_on: {{ ref('int_product_months') }}
with final as (
    select
        event_date as order_date,
        content_hash,
        '{{ env_var("SEGMENTATION_FACTS_VERSION", "by hand") }}' as facts_version
    from {{ ref('int_input_hashes') }}
    where entity = 'order_lines'
)

select * from final
