{{ config(contract={'enforced': false}) }}

-- Built after the profiles: what was not finished is done by the next run.
-- depends_on: {{ ref('segment_profiles') }}
select * from {{ ref('profile_dates') }}
