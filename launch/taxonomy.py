"""`python -m launch.taxonomy` in a checkout: the same as `coadapt taxonomy`."""

import sys

from coadapt.cli import taxonomy

if __name__ == "__main__":
    sys.exit(taxonomy.main())
