"""`python -m outproc.cli`: the `litz` command without an installed script."""

import sys

from outproc.cli.entry import main

if __name__ == "__main__":
    sys.exit(main())
