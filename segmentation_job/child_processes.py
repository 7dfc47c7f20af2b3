"""Processes that must not outlive who started them."""

import ctypes
import signal
import sys

# Of prctl(2).
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask Linux to kill this process when the one that started it ends; elsewhere do nothing.

    For `preexec_fn` of subprocess, in the main thread: Linux takes the end of the starting thread for the parent's.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
