"""A process that does nothing but rebuild the books of one ledger, and tells its time and its peak of memory.

python -m benchmarks.rebuilder DIRECTORY-OR-URL
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from benchmarks.stage import find_database
from projections.rebuild import rebuild

KIB = 1024


def main() -> None:
    """Rebuild, and write one line of JSON."""
    database = find_database(sys.argv[1])
    begun = time.perf_counter()
    done = rebuild(database)
    seconds = time.perf_counter() - begun
    told = {"seconds": seconds, "facts": done.facts, "rows": done.rows, "peak_bytes": _peak_bytes()}
    sys.stdout.write(json.dumps(told) + "\n")


def _peak_bytes() -> int:
    """The most that this process has held in memory, with the largest of its workers if it had any.

    `ru_maxrss` of a process counts what its parent held before the exec, too; the kernel's VmHWM does not.
    """
    workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * KIB
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB + workers
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * KIB + workers


if __name__ == "__main__":
    main()
