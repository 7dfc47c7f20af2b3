{{ config(
    materialized=checked_materialization(),
    incremental_strategy=checked_strategy(),
    unique_key=['customer_id', 'campaign_id', 'channel'],
) }}

with contacts as (
    select * from {{ ref('input_campaign_contacts') }}
),

known_customers as (
    select * from {{ ref('stg_known_customers') }}
),

landed as (
    select
        {{ clean_text('customer_id') }} as customer_id,
        {{ clean_text('campaign_id') }} as campaign_id,
        {{ clean_text('channel') }} as channel,
        contacted_at,
        {{ business_date('contacted_at') }} as contact_date,
        {{ clean_text('response') }} as response,
        responded_at,
        {{ business_date('responded_at') }} as response_date,
        ingested_at,
        unreadable_columns
    from contacts
    {{ of_landed_files() }}
),

{{ landed_and_touched(
    key=['customer_id', 'campaign_id', 'channel'],
    touched_by=['customers'],
) }},

checked as (
    select
        cleaned.*,
        case
            when cleaned.customer_id is null then 'customer_missing'
            when cleaned.campaign_id is null then 'campaign_missing'
            when cleaned.unreadable_columns != '' then 'value_unreadable'
            when cleaned.contacted_at is null then 'date_missing'
            when not {{ is_possible_date('cleaned.contact_date') }} then 'date_impossible'
            when cleaned.response_date is not null and not {{ is_possible_date('cleaned.response_date') }}
                then 'date_impossible'
            when cleaned.response_date < cleaned.contact_date then 'response_before_contact'
            when known_customers.customer_id is null then 'customer_unknown'
            when known_customers.known_from_date > cleaned.contact_date then 'customer_unknown'
        end as own_reason
    from cleaned
    left join known_customers on cleaned.customer_id = known_customers.customer_id
),

{{ copies_set_aside(
    'checked',
    key=['customer_id', 'campaign_id', 'channel'],
    content=['contacted_at', 'response', 'responded_at'],
    event_date='contact_date',
) }}

select * from final
