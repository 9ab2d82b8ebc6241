"""A sweep: what it asks for, what it costs, what is left of it to run."""
