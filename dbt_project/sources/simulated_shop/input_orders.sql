{{ map_to_contract(
    source('landing', 'orders'),
    {
        'order_id': 'order_id',
        'customer_id': 'customer_id',
        'ordered_at': 'ordered_at',
        'channel': 'channel',
        'store_id': 'store_id',
        'is_subscription': 'is_subscription',
        'currency': 'currency',
        'ingested_at': 'ingested_at',
    },
) }}
