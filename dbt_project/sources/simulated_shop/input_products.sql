{{ map_to_contract(
    source('landing', 'products'),
    {
        'product_id': 'product_id',
        'valid_from': 'valid_from',
        'department': 'department',
        'category': 'category',
        'brand': 'brand',
        'is_private_label': 'is_private_label',
        'list_price_amount': 'list_price_amount',
        'ingested_at': 'ingested_at',
    },
) }}
