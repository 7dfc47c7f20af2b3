-- A basket holds a product once, so the product identifies the line. `sales_value` is what the retailer received,
-- manufacturers' coupons (`coupon_disc`) included; `retail_disc` and `coupon_match_disc` are what it gave away.
{{ map_to_contract(
    source('landing', 'transactions'),
    {
        'order_id': 'basket_id',
        'line_id': 'product_id',
        'product_id': 'product_id',
        'quantity': 'quantity',
        'gross_amount': 'cast(sales_value as decimal(18, 2)) + cast(retail_disc as decimal(18, 2)) + cast(coupon_match_disc as decimal(18, 2))',
        'discount_amount': 'cast(retail_disc as decimal(18, 2)) + cast(coupon_match_disc as decimal(18, 2))',
        'net_amount': 'sales_value',
        'ingested_at': 'transaction_timestamp',
    },
) }}
