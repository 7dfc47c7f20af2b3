{{ map_to_contract(
    source('landing', 'products'),
    {
        'product_id': 'product_id',
        'department': 'department',
        'category': 'product_category',
        'brand': 'manufacturer_id',
        'is_private_label': "brand = 'Private'",
    },
) }}
