"""`python -m launch.sensitivity` in a checkout: the same as `coadapt sensitivity`."""

import sys

from coadapt.cli import sensitivity

if __name__ == "__main__":
    sys.exit(sensitivity.main())
