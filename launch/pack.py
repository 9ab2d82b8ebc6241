"""`python -m launch.pack` in a checkout: the same as `coadapt pack`."""

import sys

from coadapt.cli import pack

if __name__ == "__main__":
    sys.exit(pack.main())
