"""Promotes dates in the order given by the steps' own commands, all in this process, and publishes at the end.

Run as a process of its own, in the environment of `Nights`. What a night's eleven processes import eleven times is
imported once.
"""

import sys

from segmentation_job.cli import app
from segmentation_job.steps import STEPS

ONCE_AT_THE_END = ("build_marts", "publish")
LEFT_OUT = ("check", "report")


def main(dates: list[str]) -> None:
    every_date = [step for step in STEPS if step.name not in (*LEFT_OUT, *ONCE_AT_THE_END)]
    at_the_end = [step for step in STEPS if step.name in ONCE_AT_THE_END]
    for day in dates:
        for step in every_date + (at_the_end if day == dates[-1] else []):
            exit_code = app([*step.arguments, "--as-of", day], standalone_mode=False)
            if exit_code:
                sys.exit(f"{step.name} of {day} ended with {exit_code}")
        print(f"promoted {day}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
