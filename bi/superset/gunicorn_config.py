"""How Superset is served: two processes, each answering several charts of a dashboard at once."""

import os
from typing import Any

bind = os.environ["SUPERSET_BIND"]
workers = int(os.environ.get("SUPERSET_WORKERS", "2"))
worker_class = "gthread"
threads = 6
timeout = 120
graceful_timeout = 10
keepalive = 5
# Not the whole address of who asks, and no line per request: errors alone.
loglevel = "warning"
accesslog = None
control_socket_disable = True


def post_worker_init(worker: Any) -> None:
    """Say where it is, once the first of them can answer."""
    if worker.age == 1:
        print(f"The dashboard: http://{bind}/superset/dashboard/customer-segments/ · Ctrl-C ends it", flush=True)
