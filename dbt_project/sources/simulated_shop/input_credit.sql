{{ map_to_contract(
    source('landing', 'credit'),
    {
        'customer_id': 'customer_id',
        'credit_date': 'credit_date',
        'limit_amount': 'limit_amount',
        'balance_amount': 'balance_amount',
        'external_score': 'external_score',
        'ingested_at': 'ingested_at',
    },
) }}
