"""dbt is a child of its step, and ends with it."""

import os
import subprocess
import sys
from pathlib import Path

# What dbt would do: say who it is, and go on for long.
CHILD = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
STEP = (
    "import sys; from pathlib import Path; from segmentation_job.runs.dbt import run_dbt;"
    " run_dbt([sys.executable, '-c', sys.argv[1]], {}, Path())"
)


def test_dbt_does_not_outlive_a_step_that_was_killed_alone() -> None:
    with subprocess.Popen([sys.executable, "-c", STEP, CHILD], stdout=subprocess.PIPE, text=True) as step:
        assert step.stdout is not None
        child = int(step.stdout.readline())
        assert Path(f"/proc/{child}").exists()
        step.kill()
        # The child holds the other end of the pipe: this returns where it has ended, too.
        began_to_wait = os.times().elapsed
        assert step.stdout.read() == ""
        assert os.times().elapsed - began_to_wait < 30
