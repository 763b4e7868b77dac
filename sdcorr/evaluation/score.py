"""`python -m sdcorr.evaluation.score`, an earlier name of `sdcorr score`."""

import sys

from sdcorr.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["score", *sys.argv[1:]]))
