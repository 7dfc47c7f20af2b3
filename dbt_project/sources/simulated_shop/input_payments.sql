{{ map_to_contract(
    source('landing', 'payments'),
    {
        'payment_id': 'payment_id',
        'order_id': 'order_id',
        'customer_id': 'customer_id',
        'method': 'method',
        'due_at': 'due_at',
        'paid_at': 'paid_at',
        'failed_at': 'failed_at',
        'amount': 'amount',
        'ingested_at': 'ingested_at',
    },
) }}
