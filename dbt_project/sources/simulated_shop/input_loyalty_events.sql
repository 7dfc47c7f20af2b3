{{ map_to_contract(
    source('landing', 'loyalty_events'),
    {
        'event_id': 'event_id',
        'customer_id': 'customer_id',
        'event_type': 'event_type',
        'occurred_at': 'occurred_at',
        'points': 'points',
        'tier': 'tier',
        'ingested_at': 'ingested_at',
    },
) }}
