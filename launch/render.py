"""`python -m launch.render` in a checkout: the same as `coadapt render`."""

import sys

from coadapt.cli import render

if __name__ == "__main__":
    sys.exit(render.main())
