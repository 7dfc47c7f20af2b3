-- Rows of the input contract, against the rows kept and set aside.
with input_rows as (
    {% for entity in checked_entities() %}
    select
        '{{ entity.name }}' as entity,
        count(*) as row_count
    from {{ ref('input_' ~ entity.name) }}
    {% if not loop.last %}
    union all
    {% endif %}
    {% endfor %}
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
