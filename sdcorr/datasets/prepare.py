"""`python -m sdcorr.datasets.prepare`, an earlier name of `sdcorr prepare`."""

import sys

from sdcorr.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["prepare", *sys.argv[1:]]))
