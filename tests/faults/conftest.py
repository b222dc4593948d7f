"""A real broker for each test."""

from tests.services.conftest import broker

__all__ = ["broker"]
