"""A bot of a Kubernetes CronJob: each scheduled time is one run, however often its pod is started; see cronjob.yaml.

The name of a CronJob's job ends with its scheduled time in minutes since 1970, and a pod that is started again has the
same job: so the run's key is made of it.
"""

import os
from datetime import UTC, datetime

from ledger.errors import RunFinished
from ledger.publisher import Bot

minutes = int(os.environ["JOB_NAME"].rpartition("-")[2])
scheduled = datetime.fromtimestamp(minutes * 60, UTC).strftime("%Y-%m-%dT%H:%M")

# Without a lasting disk the job has to fail where receipts are missing; its next pod's ids make that harmless.
with Bot("CronBot", require_receipts=True) as bot:
    bot.register(opening={"USD": "10000"})
    try:
        with bot.run(scheduled, exclusive=True) as run:
            if not run.recorded:  # What an earlier pod of this job has booked before it died.
                run.buy("QQQ", quantity="3", price="412.10", fee="0.35")
            run.result = "bought"
    except RunFinished as finished:
        print(finished)  # noqa: T201 - the pod's log; nothing is left to do, so this job has done well
