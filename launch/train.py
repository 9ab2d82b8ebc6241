"""`python -m launch.train` in a checkout: the same as `coadapt train`."""

import sys

from coadapt.cli import train

if __name__ == "__main__":
    sys.exit(train.main())
