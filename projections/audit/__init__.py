"""The auditor: every table of the books from a set of facts a second time, the naive way; imports nothing of ours.

    tables(facts)                  all tables at once, for a small log
    tables_of_bot(…)               one bot's; `tables_of_market`, what is nobody's: bot by bot, for a large one

It is written from docs/design.md alone, with fractions instead of decimals, JSON instead of our types, and prefers
being obvious to being fast. `verify --books` holds the live books against it, and so do the tests.
"""
