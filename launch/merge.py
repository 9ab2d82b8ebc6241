"""`python -m launch.merge` in a checkout: the same as `coadapt merge`."""

import sys

from coadapt.cli import merge

if __name__ == "__main__":
    sys.exit(merge.main())
