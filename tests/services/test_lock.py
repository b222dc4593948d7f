"""A lock on a file ends with its block, whatever was forked meanwhile."""

import subprocess
import sys
from pathlib import Path

import pytest

from ledger.errors import LedgerError, Stale
from ledger.lock import held

_FORKING = """
import os, sys
from pathlib import Path
from ledger.errors import Stale
from ledger.lock import held

read, write = os.pipe()
with held(Path(sys.argv[1]), taken=Stale):
    child = os.fork()
    if child == 0 and sys.argv[2] == "stays":
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    if child:
        if sys.argv[2] == "leaves":
            os.waitpid(child, 0)
        print("inside", flush=True)
        sys.stdin.readline()
if child == 0:
    os._exit(0)
print("outside", flush=True)
sys.stdin.readline()
os.close(write)
"""


@pytest.mark.parametrize("child", ["stays", "leaves"])
def test_a_lock_ends_with_the_block_of_its_holder(tmp_path: Path, child: str) -> None:
    """A child that was forked inside stays alive behind the block, or leaves it before its parent does."""
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", _FORKING, str(path), child], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "inside\n"
        with pytest.raises(Stale, match=str(process.pid)), held(path, taken=_stale):
            raise AssertionError("two hold one lock")
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "outside\n"
        with held(path, taken=_stale):
            pass
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.wait(20) == 0


def _stale(pid: str) -> LedgerError:
    return Stale(pid)
