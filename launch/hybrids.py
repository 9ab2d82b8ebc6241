"""`python -m launch.hybrids` in a checkout: the same as `coadapt hybrids`."""

import sys

from coadapt.cli import hybrids

if __name__ == "__main__":
    sys.exit(hybrids.main())
