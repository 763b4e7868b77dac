"""`python -m sdcorr`, which is the command `sdcorr`."""

import sys

from sdcorr.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
