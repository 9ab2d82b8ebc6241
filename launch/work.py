"""`python -m launch.work` in a checkout: the same as `coadapt work`."""

import sys

from coadapt.cli import work

if __name__ == "__main__":
    sys.exit(work.main())
