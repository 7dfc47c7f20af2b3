-- A basket is an order. A basket id that came with two households, stores or times would give two rows here, and
-- staging would set the second aside as a duplicate.
with baskets as (
    select distinct
        basket_id,
        household_id,
        store_id,
        transaction_timestamp
    from {{ source('landing', 'transactions') }}
)

{{ map_to_contract(
    'baskets',
    {
        'order_id': 'basket_id',
        'customer_id': 'household_id',
        'ordered_at': 'transaction_timestamp',
        'channel': "'store'",
        'store_id': 'store_id',
        'currency': "'USD'",
        'ingested_at': 'transaction_timestamp',
    },
) }}
