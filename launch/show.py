"""`python -m launch.show` in a checkout: the same as `coadapt show`."""

import sys

from coadapt.cli import show

if __name__ == "__main__":
    sys.exit(show.main())
