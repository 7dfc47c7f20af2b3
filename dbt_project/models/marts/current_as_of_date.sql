{{ config(materialized='ephemeral', contract={'enforced': false}) }}

select max(as_of_date) as as_of_date
from {{ source('promoted', 'dates') }}
where has_labels
