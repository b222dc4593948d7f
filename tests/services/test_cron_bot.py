"""The bot of deploy/cronjob.yaml: all pods of one scheduled time are one run."""

import os
import subprocess
import sys
from pathlib import Path

import yaml

from ledger.settings import Database
from tests.services.bots import Ledger, ids

ROOT = Path(__file__).parents[2]
JOB = "cron-bot-29460450"
KEY = "2026-01-05T15:30"


def test_pods_of_one_job_are_one_run_and_the_next_job_is_the_next(
    ledger: Ledger, sqlite_database: Database, tmp_path: Path
) -> None:
    with ledger() as service:
        first = _pod(JOB, service.nats_url, tmp_path / "a")
        again = _pod(JOB, service.nats_url, tmp_path / "b")
        following = _pod("cron-bot-29460465", service.nats_url, tmp_path / "c")
    assert (first.returncode, again.returncode, following.returncode) == (0, 0, 0), first.stderr + again.stderr
    assert again.stdout.startswith(f"the run {KEY} has finished well already: bought")
    trades = [id_ for id_ in ids(sqlite_database) if "QQQ" in id_]
    assert trades == [f"{KEY}.QQQ.0001-buy", "2026-01-05T15:45.QQQ.0001-buy"]


def test_the_cron_job_hands_its_name_to_the_bot_and_never_runs_two_at_once() -> None:
    spec = yaml.safe_load((ROOT / "deploy/cronjob.yaml").read_text())["spec"]
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    environment = {one["name"]: one for one in container["env"]}
    field = environment["JOB_NAME"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert field == "metadata.labels['batch.kubernetes.io/job-name']"
    assert (spec["concurrencyPolicy"], pod["restartPolicy"]) == ("Forbid", "Never")
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["volumes"]}


def _pod(job: str, url: str, outbox: Path) -> subprocess.CompletedProcess[str]:
    """A pod has no disk of its own that lasts."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEDGER_")}
    more = {"JOB_NAME": job, "LEDGER_NATS_URL": url, "LEDGER_OUTBOX_DIR": str(outbox), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "deploy/cron_bot.py")]
    return subprocess.run(command, env=kept | more, capture_output=True, text=True, timeout=60, check=False)
