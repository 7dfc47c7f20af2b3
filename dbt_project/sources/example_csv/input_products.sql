{{ map_to_contract(
    source('landing', 'products'),
    {
        'product_id': 'sku',
        'category': 'product_group',
        'brand': 'maker',
        'is_private_label': "own_brand = 'yes'",
        'list_price_amount': 'price',
    },
) }}
