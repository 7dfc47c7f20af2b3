{{ map_to_contract(
    source('landing', 'web_events'),
    {
        'event_id': 'event_id',
        'session_id': 'session_id',
        'customer_id': 'customer_id',
        'event_type': 'event_type',
        'occurred_at': 'occurred_at',
        'product_id': 'product_id',
        'device': 'device',
        'ingested_at': 'ingested_at',
    },
) }}
