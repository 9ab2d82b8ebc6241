"""`python -m launch.unpack` in a checkout: the same as `coadapt unpack`."""

import sys

from coadapt.cli import unpack

if __name__ == "__main__":
    sys.exit(unpack.main())
