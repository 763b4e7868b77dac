"""Find points of one picture in others: `python train.py source=a.jpg points='[[120,80],[40,200]]' target=b.jpg`.

It optimizes the points' prompt embeddings with a Lightning Trainer; sdcorr/cli/transfer.py says what it does.
`sdcorr match` does the same, with options in place of `source=`, `points=` and `target=`.

The other task is to train a network from pseudo-labels: `python train.py task=student data=FOLDER`;
sdcorr/cli/student.py says what that does.
"""

import sys

from sdcorr.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
