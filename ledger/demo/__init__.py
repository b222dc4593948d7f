"""The demo: bots trading on four years of real prices, through the real publisher, broker, log and books.

`history` has the prices, `strategies` what the bots would do, `trading` the days as they go by, `show` the
whole of it. A part of the composition root, like the commands.
"""

from ledger.demo.show import run_demo

__all__ = ["run_demo"]
