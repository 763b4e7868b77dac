"""Predict, save, score: `python eval.py`, `python eval.py dataset.split=test`, `python eval.py --help`.

This is `sdcorr eval`; sdcorr/cli/evaluate.py says what it does.
"""

import sys

from sdcorr.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["eval", *sys.argv[1:]]))
