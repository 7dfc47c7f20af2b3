{{ map_to_contract(
    source('landing', 'order_lines'),
    {
        'order_id': 'order_id',
        'line_id': 'line_id',
        'product_id': 'product_id',
        'quantity': 'quantity',
        'gross_amount': 'gross_amount',
        'discount_amount': 'discount_amount',
        'net_amount': 'net_amount',
        'unit_cost_amount': 'unit_cost_amount',
        'ingested_at': 'ingested_at',
    },
) }}
