{{ map_to_contract(
    source('landing', 'market_indicators'),
    {
        'indicator_month': 'indicator_month',
        'indicator': 'indicator',
        'category': 'category',
        'entity': 'entity',
        'published_at': 'published_at',
        'indicator_value': 'indicator_value',
        'unit': 'unit',
        'ingested_at': 'ingested_at',
    },
) }}
