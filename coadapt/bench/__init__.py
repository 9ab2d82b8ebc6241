"""How fast updates and environments are, and how fast they could be.

Counts of operations are of shapes, throughputs are measured, the roofline is a model.
"""
