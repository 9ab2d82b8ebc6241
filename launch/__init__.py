"""Commands: `python -m launch.train` and its like. The only flags of the project."""
