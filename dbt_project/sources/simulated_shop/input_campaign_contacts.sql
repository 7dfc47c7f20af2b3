{{ map_to_contract(
    source('landing', 'campaign_contacts'),
    {
        'customer_id': 'customer_id',
        'campaign_id': 'campaign_id',
        'channel': 'channel',
        'contacted_at': 'contacted_at',
        'response': 'response',
        'responded_at': 'responded_at',
        'ingested_at': 'ingested_at',
    },
) }}
