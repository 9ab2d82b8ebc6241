"""A study before and while it runs: power, seeds until decided, tuning of variants.

Each writes into the manifest what was decided before the first run.
"""
