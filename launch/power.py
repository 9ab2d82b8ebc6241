"""`python -m launch.power` in a checkout: the same as `coadapt power`."""

import sys

from coadapt.cli import power

if __name__ == "__main__":
    sys.exit(power.main())
