-- Rows of the input contract, against the rows kept and set aside.
with input_rows as (
    select
        'customers' as entity,
        count(*) as row_count
    from {{ ref('input_customers') }}
    union all
    select
        'products' as entity,
        count(*) as row_count
    from {{ ref('input_products') }}
    union all
    select
        'orders' as entity,
        count(*) as row_count
    from {{ ref('input_orders') }}
    union all
    select
        'order_lines' as entity,
        count(*) as row_count
    from {{ ref('input_order_lines') }}
    union all
    select
        'campaign_contacts' as entity,
        count(*) as row_count
    from {{ ref('input_campaign_contacts') }}
),

accounts as (
    select
        entity,
        sum(row_count) as row_count
    from {{ ref('int_row_accounts') }}
    group by entity
)

select
    coalesce(input_rows.entity, accounts.entity) as entity,
    coalesce(input_rows.row_count, 0) as rows_in,
    coalesce(accounts.row_count, 0) as rows_accounted_for
from input_rows
full outer join accounts on input_rows.entity = accounts.entity
where coalesce(input_rows.row_count, 0) != coalesce(accounts.row_count, 0)
