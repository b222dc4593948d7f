"""What botledger can do, measured side by side with the floor and with others: `python -m benchmarks`.

Never part of the test suite. Every figure is a ratio of two things measured in one run on one machine, for single
figures move with the disk, the neighbours and the weather.
"""
