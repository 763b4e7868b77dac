"""The scripts in benchmarks/ import each other as they do when they are run: by their bare names."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
