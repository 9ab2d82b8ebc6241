"""The machine and its terminal: limits of control groups, streams, notes, deadlines.

What is here imports nothing else of the package.
"""
