"""How much memory a process and its workers take at their peak."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

LOOK_SECONDS = 0.05
_KIB = 1024


def watch_until_end(process: subprocess.Popen[str], *, timeout_seconds: float) -> int:
    """Wait for the process; the most bytes that it and its children have held, each counted at its own peak.

    The kernel's VmHWM is asked, not `ru_maxrss`: this counts what the parent held before the exec, too, and knows of
    all the workers only the largest.
    """
    peak = 0
    deadline = time.monotonic() + timeout_seconds
    while process.poll() is None:
        assert time.monotonic() < deadline, f"not done within {timeout_seconds:g} seconds"
        peak = max(peak, _held(process.pid))
        time.sleep(LOOK_SECONDS)  # The memory of another process can only be looked at again and again.
    return peak


def _held(process_id: int) -> int:
    """The peak of a process and of all that it has started and are still there."""
    home = Path("/proc") / str(process_id)
    try:
        status = (home / "status").read_text()
        children = [name for task in (home / "task").iterdir() for name in (task / "children").read_text().split()]
    except OSError:  # It has ended meanwhile.
        return 0
    own = next((int(line.split()[1]) * _KIB for line in status.splitlines() if line.startswith("VmHWM:")), 0)
    return own + sum(_held(int(name)) for name in children)
