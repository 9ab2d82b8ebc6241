"""`python -m launch.tasks` in a checkout: the same as `coadapt tasks`."""

import sys

from coadapt.cli import tasks

if __name__ == "__main__":
    sys.exit(tasks.main())
