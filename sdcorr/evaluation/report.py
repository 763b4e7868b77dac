"""`python -m sdcorr.evaluation.report`, an earlier name of `sdcorr report`."""

import sys

from sdcorr.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["report", *sys.argv[1:]]))
