"""One program of agents: its steps, loops, evaluations and rules."""
