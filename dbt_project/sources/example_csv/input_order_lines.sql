{{ map_to_contract(
    source('landing', 'order_lines'),
    {
        'order_id': 'order_no',
        'line_id': 'line_no',
        'product_id': 'sku',
        'quantity': 'units',
        'gross_amount': 'full_price',
        'discount_amount': 'rebate',
        'net_amount': 'paid',
    },
) }}
