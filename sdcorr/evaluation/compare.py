"""`python -m sdcorr.evaluation.compare`, an earlier name of `sdcorr compare`."""

import sys

from sdcorr.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["compare", *sys.argv[1:]]))
