"""Latchstring: remote support that the customer controls."""

__version__ = "0.1.0"
