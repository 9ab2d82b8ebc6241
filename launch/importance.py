"""`python -m launch.importance` in a checkout: the same as `coadapt importance`."""

import sys

from coadapt.cli import importance

if __name__ == "__main__":
    sys.exit(importance.main())
