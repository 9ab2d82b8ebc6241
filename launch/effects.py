"""`python -m launch.effects` in a checkout: the same as `coadapt effects`."""

import sys

from coadapt.cli import effects

if __name__ == "__main__":
    sys.exit(effects.main())
