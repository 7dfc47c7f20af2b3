{{ map_to_contract(
    source('landing', 'customers'),
    {
        'customer_id': 'customer_no',
        'signup_date': 'joined_on',
        'birth_date': 'born_on',
        'gender': "case sex when 'f' then 'female' when 'm' then 'male' else sex end",
        'income_amount': 'yearly_income',
        'city': 'town',
        'language': 'language',
        'household_size': 'people_at_home',
        'acquisition_channel': 'found_us_by',
    },
) }}
