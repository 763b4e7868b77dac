"""`python -m sdcorr.app`, an earlier name of `sdcorr app`."""

import sys

from sdcorr.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["app", *sys.argv[1:]]))
