"""What is known of tasks: those of the paper, their references, the unit of a score.

Environments themselves are in `coadapt.envs`.
"""
