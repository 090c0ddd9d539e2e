"""Benchmarks against real peers, in the same run, as ratios. ``python -m bench --help``."""
