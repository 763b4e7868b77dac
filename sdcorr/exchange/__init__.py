"""Predictions as files: those that were made elsewhere become a run, and those of a run become a file.

`table` reads a CSV or JSON file row by row, `frame` says in which pixels it is written, `pairing` finds the pair and
the key-point of every row, `imports` writes the records of a run folder, and `exports` does the reverse. None of it
needs torch.
"""
