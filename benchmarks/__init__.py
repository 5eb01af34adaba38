"""Measurements of the whole system. `python -m benchmarks --help` says which there are."""
