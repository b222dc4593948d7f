"""A process that does nothing but rebuild the books of one ledger.

    python -m benchmarks.rebuilder DIRECTORY-OR-URL

It imports no more than that needs, for its memory is measured, and that of its workers.
"""

from __future__ import annotations

import json
import sys
import time

from benchmarks.place import find_database
from projections.rebuild import rebuild


def main() -> None:
    """Rebuild, and write one line of JSON: seconds, facts, rows."""
    database = find_database(sys.argv[1])
    begun = time.perf_counter()
    done = rebuild(database)
    seconds = time.perf_counter() - begun
    sys.stdout.write(json.dumps({"seconds": seconds, "facts": done.facts, "rows": done.rows}) + "\n")


if __name__ == "__main__":
    main()
