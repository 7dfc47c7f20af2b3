"""Start one command, wait for it, and write what it took as JSON.

    python -I -S launcher.py RESULT.json COMMAND…

Between the benchmark and what it measures stands this small process: Linux counts into the peak memory of a command
that of the process which started it. CPU is that of the command and of all it has waited for; the peak is that of the
largest single process among them.
"""

import json
import os
import subprocess
import sys
import time

begun = time.monotonic()
process = subprocess.Popen(sys.argv[2:])
_, status, used = os.wait4(process.pid, 0)
# Without pathlib: this process stays as small as it can.
with open(sys.argv[1], "w") as file:  # noqa: PTH123
    json.dump(
        {
            "seconds": time.monotonic() - begun,
            "cpu_seconds": used.ru_utime + used.ru_stime,
            "peak_megabytes": used.ru_maxrss / 1024,
            "exit_code": os.waitstatus_to_exitcode(status),
        },
        file,
    )
