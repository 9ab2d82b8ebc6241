"""`python -m launch.sweep` in a checkout: the same as `coadapt sweep`."""

import sys

from coadapt.cli import sweep

if __name__ == "__main__":
    sys.exit(sweep.main())
