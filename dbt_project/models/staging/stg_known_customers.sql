-- From which day on an id is a customer's; null where the source does not say, which means always.
with final as (
    {{ known_from(ref('stg_customers_checked'), none) | indent(4) }}
)

select * from final
