{{ map_to_contract(
    source('landing', 'feedback'),
    {
        'event_id': 'event_id',
        'customer_id': 'customer_id',
        'feedback_type': 'feedback_type',
        'occurred_at': 'occurred_at',
        'score': 'score',
        'score_scale': 'score_scale',
        'product_id': 'product_id',
        'ingested_at': 'ingested_at',
    },
) }}
