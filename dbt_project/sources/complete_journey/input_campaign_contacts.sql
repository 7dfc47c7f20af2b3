-- A household is reached when its campaign starts; redeeming a coupon of the campaign is the response.
with contacts as (
    select
        campaigns.household_id,
        campaigns.campaign_id,
        campaign_descriptions.start_date,
        min(coupon_redemptions.redemption_date) as first_redeemed_at
    from {{ source('landing', 'campaigns') }} as campaigns
    left join {{ source('landing', 'campaign_descriptions') }} as campaign_descriptions
        on campaigns.campaign_id = campaign_descriptions.campaign_id
    left join {{ source('landing', 'coupon_redemptions') }} as coupon_redemptions
        on
            campaigns.household_id = coupon_redemptions.household_id
            and campaigns.campaign_id = coupon_redemptions.campaign_id
    group by
        campaigns.household_id,
        campaigns.campaign_id,
        campaign_descriptions.start_date
)

{{ map_to_contract(
    'contacts',
    {
        'customer_id': 'household_id',
        'campaign_id': 'campaign_id',
        'channel': "'mail'",
        'contacted_at': 'start_date',
        'response': "case when first_redeemed_at is not null then 'coupon redeemed' end",
        'responded_at': 'first_redeemed_at',
        'ingested_at': 'start_date',
    },
) }}
