"""What it means now: the half of botledger that reads the log and never writes to it.

    log → projector → books → queries

Pure rooms first: `lots` (match one fill), `book` (one bot's cash, lots and runs), `market` (prices, splits,
dividends), `worth` (days × holdings × prices). Then `tables` (what people read), `projector` (carry the
tables forward), `rebuild` (make them anew), `queries` (answers).
"""
