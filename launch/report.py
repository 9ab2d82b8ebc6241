"""`python -m launch.report` in a checkout: the same as `coadapt report`."""

import sys

from coadapt.cli import report

if __name__ == "__main__":
    sys.exit(report.main())
