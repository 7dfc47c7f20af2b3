{{ map_to_contract(
    source('landing', 'orders'),
    {
        'order_id': 'order_no',
        'customer_id': 'customer_no',
        'ordered_at': 'placed_at',
        'channel': 'channel',
        'currency': "'EUR'",
    },
) }}
