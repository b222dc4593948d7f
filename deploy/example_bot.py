"""A bot in ten lines. It finds the broker by LEDGER_NATS_URL or LEDGER_NATS_URL_FILE; run it from cron."""

from datetime import UTC, datetime

from ledger.publisher import Bot

with Bot("ExampleBot") as bot:
    bot.register(opening={"USD": "10000"})
    with bot.run(datetime.now(UTC).strftime("%Y-%m-%dT%H:%M")) as run:
        if bot.portfolio().cash["USD"] > 1500:
            run.buy("QQQ", quantity="3", price="412.10", fee="0.35")
        run.result = "bought while there was cash"
