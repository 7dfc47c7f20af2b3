{#-
  The rows that `stg_<entity>_checked` looks at, as the common table expression `cleaned`: all of the CTE `landed`, or,
  where only new files are read, these and the kept rows that they can touch. Those are all copies of a new row, and of
  every row whose customer, order or product has become another one. A copy is never judged without the others.

  key: the columns that make rows copies of one another, as in `copies_set_aside`. A row without the first of them is set
  aside for that, whatever its copies are.
  columns_added: what the model adds to the cleaned rows beside the reasons. touched_by: which of customers, orders and
  products the rows are checked against.
-#}
{% macro landed_and_touched(key, columns_added=[], touched_by=[]) -%}
{%- if not takes_up_landed_files() -%}
cleaned as (
    select * from landed
)
{%- else -%}
{%- set added = columns_added + ['own_reason', 'copy_number', 'quarantine_reason'] -%}
keys_to_check as (
    select
        {%- for part in key %}
        {{ part }} as key_{{ loop.index }}{{ ',' if not loop.last }}
        {%- endfor %}
    from landed
    {%- for condition in touched_conditions(touched_by) %}
    union
    select
        {%- for part in key %}
        {{ part }} as key_{{ loop.index }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ this }}
    where {{ condition }}
    {%- endfor %}
),

cleaned as (
    select * from landed
    union all
    select
        {%- set comma = joiner(',') %}
        {%- for column in adapter.get_columns_in_relation(this) if column.name not in added %}
        {{- comma() }}
        {{ column.name }}
        {%- endfor %}
    from {{ this }}
    -- First which rows, then what is in them: few of many are wanted.
    where rowid in (
        select before.rowid
        from {{ this }} as before
        where exists (
            select 1
            from keys_to_check
            where
                keys_to_check.key_1 = before.{{ key[0] }}
                {%- for part in key[1:] %}
                and keys_to_check.key_{{ loop.index + 1 }} is not distinct from before.{{ part }}
                {%- endfor %}
        )
    )
)
{%- endif -%}
{%- endmacro %}


{#-
  What finds the kept rows that a change elsewhere can touch. An id that nobody knew touches only rows that were set
  aside; one that was known and changed touches every row that names it.
-#}
{% macro touched_conditions(touched_by) -%}
    {%- set changed = "(select touched_key from pipeline.touched_keys where entity = '%s' and was_known = %s)" -%}
    {%- set conditions = [] -%}
    {%- for entity, column in [('customers', 'customer_id'), ('orders', 'order_id')] if entity in touched_by -%}
        {%- do conditions.append("own_reason is not null and " ~ column ~ " in " ~ changed | format(entity, 'false')) -%}
        {%- do conditions.append(column ~ " in " ~ changed | format(entity, 'true')) -%}
    {%- endfor -%}
    {%- if 'products' in touched_by -%}
        {%- do conditions.append("product_id in (select touched_key from pipeline.touched_keys where entity = 'products')") -%}
        {#- Whether the product of a line can be unknown depends on all products there are. -#}
        {%- if 'orders' in touched_by -%}
        {%- do conditions.append(
            "category = 'unknown' and exists (select 1 from pipeline.touched_keys where entity = 'products')"
        ) -%}
        {%- endif -%}
    {%- endif -%}
    {{ return(conditions) }}
{%- endmacro %}


{#-
  The incremental strategy of `stg_<entity>_checked`: the rows that were checked take the place of their copies. What is
  otherwise than it was is written down for what comes after: the days in `pipeline.touched_days`, the ids in
  `pipeline.touched_keys`. A build that is cut off leaves no record of its facts, and the next reads all again.
-#}
{% macro get_incremental_checked_again_sql(arg_dict) -%}
    {%- set target, checked = arg_dict['target_relation'], arg_dict['temp_relation'] -%}
    {%- set columns = arg_dict['dest_columns'] | map(attribute='name') | join(', ') -%}
    {%- set key = arg_dict['unique_key'] -%}
    {%- set name = target.identifier | replace('stg_', '') | replace('_checked', '') -%}
    {%- if landed_files() is none %}
    delete from {{ target }};
    {%- else %}
    create or replace temp table row_ids_before as
    select before.rowid as row_id
    from {{ target }} as before
    where exists (
        select 1
        from {{ checked }} as checked
        where
            checked.{{ key[0] }} = before.{{ key[0] }}
            {%- for part in key[1:] %}
            and checked.{{ part }} is not distinct from before.{{ part }}
            {%- endfor %}
    );

    create or replace temp table copies_before as
    select {{ columns }} from {{ target }} where rowid in (select row_id from row_ids_before);

    create or replace temp table rows_that_differ as
    select *, true as was_there from (select * from copies_before except all select {{ columns }} from {{ checked }})
    union all
    select *, false as was_there from (select {{ columns }} from {{ checked }} except all select * from copies_before);

    {%- for entity in checked_entities() if entity.name == name %}
    {%- for day in entity.days or [entity.event_date] if day %}
    insert into pipeline.touched_days select distinct '{{ name }}', {{ day }} from rows_that_differ;
    {%- endfor %}
    {%- endfor %}
    {%- if name in ('order_events', 'order_lines') %}
    insert into pipeline.touched_keys
    select distinct '{{ name }}', order_id, true from rows_that_differ where order_id is not null;
    {%- elif name in ('orders', 'products') %}
    insert into pipeline.touched_keys
    select
        '{{ name }}',
        {{ name[:-1] }}_id,
        bool_or(was_there)
    from rows_that_differ
    where quarantine_reason is null
    group by {{ name[:-1] }}_id;
    {%- elif name == 'customers' %}
    create or replace temp table known_before as
    {{ known_from(target, 'rows_that_differ') }};
    {%- endif %}

    delete from {{ target }} where rowid in (select row_id from row_ids_before);
    {%- endif %}
    insert into {{ target }} ({{ columns }}) select {{ columns }} from {{ checked }};
    {%- if name == 'customers' and landed_files() is not none %}

    insert into pipeline.touched_keys
    select
        'customers',
        known_after.customer_id,
        known_before.customer_id is not null
    from ({{ known_from(target, 'rows_that_differ') }}) as known_after
    left join known_before on known_after.customer_id = known_before.customer_id
    where
        known_before.customer_id is null
        or known_before.known_from_date is distinct from known_after.known_from_date;
    {%- endif %}
{%- endmacro %}


{#- From which day on an id is a customer's, of the customers that a relation names. -#}
{% macro known_from(checked, customers) -%}
select
    customer_id,
    case when count(valid_from_date) = count(*) then min(valid_from_date) end as known_from_date
from (
    select
        customer_id,
        case when {{ is_possible_date('valid_from_date') }} then valid_from_date end as valid_from_date
    from {{ checked }}
    where customer_id is not null
    {%- if customers %} and customer_id in (select customer_id from {{ customers }}){% endif %}
) as checked
group by customer_id
{%- endmacro %}


{#- How staging keeps what it checked. An engine that deletes no rows checks all of them anew. -#}
{% macro checked_materialization() -%}
    {{ return('incremental' if target.type == 'duckdb' else 'table') }}
{%- endmacro %}

{% macro checked_strategy() -%}
    {{ return('checked_again' if target.type == 'duckdb' else none) }}
{%- endmacro %}


{#- Rows of a day lie together where all of them are written at once: what looks at few days reads few blocks. -#}
{% macro in_order_of_days(day) -%}
    {%- if not takes_up_landed_files() -%}
    order by {{ day }}
    {%- endif -%}
{%- endmacro %}


{#- A condition that holds for what a fact has to be built of anew: rows of the touched days of an entity, or all. -#}
{% macro in_touched_days(entity, day) -%}
    {%- if takes_up_landed_files() -%}
    {{ day }} in (select touched_date from pipeline.touched_days where entity = '{{ entity }}')
    {%- else -%}
    1 = 1
    {%- endif -%}
{%- endmacro %}
