"""The demo: bots trading on four years of real prices, through the real publisher, broker, log and books.

`history` has the prices, `strategies` what the bots would do, `trading` the days as they go by, `show` the
result. A part of the composition root, like the commands.
"""
