"""`python -m launch.logs` in a checkout: the same as `coadapt logs`."""

import sys

from coadapt.cli import logs

if __name__ == "__main__":
    sys.exit(logs.main())
