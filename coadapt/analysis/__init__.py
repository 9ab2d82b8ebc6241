"""What rows say: statistics, effects with intervals, verdicts, factorials, importance.

`comparison` answers a question on a run store or on rows; nothing here draws.
"""
