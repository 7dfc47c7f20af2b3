"""A BI tool that reads the served segments without pause: run as a process, ended by closing its input.

Prints one JSON line for each different answer, in the order of their first appearance, with how often it came.
"""

import json
import os
import select
import sys

import duckdb

QUESTION = """
select
    cast(min(labels.as_of_date) as varchar) as first_date,
    cast(max(labels.as_of_date) as varchar) as last_date,
    count(*) as labels,
    count(distinct (labels.lens, labels.customer_id)) as customers,
    count(runs.model_version) as labels_of_a_known_run,
    sum(runs.customers) / count(*) as customers_of_the_run,
    (select cast(max(as_of_date) as varchar) from segmentation_runs) as newest_run
from customer_segments as labels
left join segmentation_runs as runs
    on labels.as_of_date = runs.as_of_date
    and labels.lens = runs.lens
    and labels.model_version = runs.model_version
"""
DAILY = """
select count(*)
from customer_segments_daily
where as_of_date = (select max(as_of_date) from customer_segments)
"""


def ask(link: str) -> str:
    """Return what a fresh connection sees, or the error it meets, as JSON."""
    try:
        with duckdb.connect(link, read_only=True) as connection:
            cursor = connection.execute(QUESTION)
            names = [column[0] for column in cursor.description or ()]
            row = cursor.fetchone() or ()
            daily = connection.execute(DAILY).fetchone() or (None,)
        answer = dict(zip(names, map(str, row), strict=True)) | {"daily": str(daily[0])}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    return json.dumps(answer, sort_keys=True)


def main(link: str) -> None:
    """Ask until standard input ends."""
    os.nice(5)
    answers: dict[str, int] = {}
    while not select.select([sys.stdin], [], [], 0)[0]:
        answer = ask(link)
        if answer not in answers:
            answers[answer] = 0
            print("new answer", file=sys.stderr, flush=True)
        answers[answer] += 1
    for answer, times in answers.items():
        print(json.dumps({**json.loads(answer), "times": times}))


if __name__ == "__main__":
    main(sys.argv[1])
