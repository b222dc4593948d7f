"""What happened: the half of botledger that records facts and never asks what they mean.

A message walks in at one door and becomes a fact; the facts alone decide every number we show.

    publisher → outbox → broker → intake → messages → events → log

Read in this order: `amounts` (exact decimals), `events` (the facts), `messages` (their wire form and
every refusal of shape), `log` (append, read, verify), `database` (sessions), `broker` and `intake`
(the door), `outbox` and `publisher` (the bots' side). `service` and `commands` put the halves together.
"""
