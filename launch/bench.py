"""`python -m launch.bench` in a checkout: the same as `coadapt bench`."""

import sys

from coadapt.cli import bench

if __name__ == "__main__":
    sys.exit(bench.main())
