{{ map_to_contract(
    source('landing', 'order_events'),
    {
        'event_id': 'event_id',
        'order_id': 'order_id',
        'line_id': 'line_id',
        'event_type': 'event_type',
        'occurred_at': 'occurred_at',
        'quantity': 'quantity',
        'amount': 'amount',
        'ingested_at': 'ingested_at',
    },
) }}
