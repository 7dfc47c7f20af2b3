"""A BI tool that reads the served segments without pause: run as a process, ended by closing its input.

Runs with any DuckDB client from 1.0 on. Prints one JSON line for each different answer, in the order of their first
appearance, with how often it came.
"""

import json
import os
import select
import sys

import duckdb

# `published_by` is another for each published file; `content` is a sum over all labels, the same in every client.
QUESTION = """
select
    cast(min(labels.as_of_date) as varchar) as first_date,
    cast(max(labels.as_of_date) as varchar) as last_date,
    count(*) as labels,
    count(distinct (labels.lens, labels.customer_id)) as customers,
    count(runs.model_version) as labels_of_a_known_run,
    sum(runs.customers) / count(*) as customers_of_the_run,
    (select cast(max(as_of_date) as varchar) from segmentation_runs) as newest_run,
    (select cast(max(started_at) as varchar) from run_log) as published_by,
    cast(sum(cast('0x' || substr(md5(concat_ws('|', labels.lens, labels.customer_id, labels.segment_id)), 1, 8)
        as bigint)) as varchar) as content
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
WIDE = "select count(*), cast(max(as_of_date) as varchar) from customer_360"


def ask(link: str) -> str:
    """Return what a fresh connection sees, or the error it meets, as JSON."""
    try:
        with duckdb.connect(link, read_only=True) as connection:
            cursor = connection.execute(QUESTION)
            names = [column[0] for column in cursor.description or ()]
            row = cursor.fetchone() or ()
            daily = connection.execute(DAILY).fetchone() or (None,)
            wide = connection.execute(WIDE).fetchone() or (None, None)
        answer = dict(zip(names, map(str, row), strict=True)) | {"daily": str(daily[0])}
        answer |= {"wide": str(wide[0]), "wide_date": str(wide[1])}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    return json.dumps(answer, sort_keys=True)


def main(link: str, niceness: int = 5) -> None:
    """Ask until standard input ends."""
    os.nice(niceness)
    answers: dict[str, int] = {}
    while not select.select([sys.stdin], [], [], 0)[0]:
        answer = ask(link)
        if answer not in answers:
            answers[answer] = 0
            print("new answer", file=sys.stderr, flush=True)
        answers[answer] += 1
    for answer, times in answers.items():
        print(json.dumps({**json.loads(answer), "client": duckdb.__version__, "times": times}))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
