"""`python -m sdcorr.datasets.card`, an earlier name of `sdcorr inspect`."""

import sys

from sdcorr.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["inspect", *sys.argv[1:]]))
