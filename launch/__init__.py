"""`python -m launch.sweep` and its like, in a checkout: see `coadapt.cli`."""
