"""`python -m launch.status` in a checkout: the same as `coadapt status`."""

import sys

from coadapt.cli import status

if __name__ == "__main__":
    sys.exit(status.main())
