"""What it costs to keep the evidence of matches: each method on a source image of the toybox, with it and without.

Processor time of one thread, with and without by turns, so that a busy machine does to both what it does to either.
"""

import argparse
import time
from collections.abc import Sequence
from unittest.mock import patch

import numpy as np
import torch

from sdcorr.cli import build, origin
from sdcorr.cli.compose import compose
from sdcorr.datasets import group_by_source
from sdcorr.methods import prompt
from sdcorr.methods.maps import MapMethod

METHODS = ("prompt", "read_once", "unet_features")


def main(argv: Sequence[str] | None = None) -> None:
    """Print a line for each method."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args(argv)
    torch.set_num_threads(1)
    for name in chosen.methods:
        cfg = compose("eval", "dataset.split=val", f"methods=[{name}]", "embeddings=null", "maps=0")
        benchmark = origin.benchmark(cfg)
        unit = group_by_source(benchmark.pairs)[0]
        found = []
        for _ in range(chosen.repeats + 1):  # the first is to get warm
            pair = []
            for kept in (True, False):
                (entry,) = build.methods(cfg, benchmark)  # afresh, with nothing of a picture known
                entry.method.prepare()
                with (
                    patch.object(MapMethod, "evidence", MapMethod.evidence if kept else lambda *_: {}),
                    patch.object(prompt, "agreement", prompt.agreement if kept else lambda *_: {}),
                ):
                    began = time.process_time()
                    for _ in entry.method.match(unit, benchmark.image):
                        pass
                    pair.append(time.process_time() - began)
            found.append(pair)
        with_it, without = np.array(found[1:]).T
        ratios = with_it / without
        print(
            f"{name}: {len(unit.points)} points in {len(unit.pairs)} targets, {np.median(without):.2f} s without, "
            f"with evidence {np.median(ratios):.3f} times that ({ratios.min():.3f} to {ratios.max():.3f})"
        )


if __name__ == "__main__":
    main()
