"""Faults brought about for real, and what must hold all the same; run by `make faults`, not by `make test`."""
