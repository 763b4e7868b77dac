"""What a step costs with every family, at its true size: `python benchmarks/families.py`, in minutes, without weights.

FLOPs are counted by torch on the meta device, as in flops.py. A point takes as many steps and crops as in the released
code; its maps are those of one target: one of S x S for every restart and layer, held until the targets' crops are
averaged. In brackets what they would take if every transformer block were a layer of its own.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

import torch
from flops import part_flops, released_calls
from measure import RESULTS, command, markdown, save
from rich.console import Console
from shapes import load, model_named

from sdcorr.diffusion.families import FAMILIES

HEADER = ["family", "side", "parameters", "forward", "backward", "a step", "encode", "a point", "maps of a point"]


def row(name: str) -> tuple[dict[str, object], list[str]]:
    """What a family costs: as plain values, and as a row of the table."""
    model = model_named(name)
    parts = part_flops(model)
    backbone = load(model, "meta", truncate=False)
    parameters = sum(p.numel() for p in backbone.unet.parameters())
    calls = released_calls(model.settings)
    point = parts.total(**calls | {"encodes": 0.0})
    map_bytes = model.settings.restarts * backbone.image_size**2 * torch.float32.itemsize
    blocks = sum(len(backbone.unet.get_submodule(layer).transformer_blocks) for layer in model.layers)
    plain = {"family": name, "side": backbone.image_size, "parameters": parameters, **asdict(parts), "point": point}
    plain |= {"map_bytes": map_bytes * len(model.layers), "map_bytes_by_block": map_bytes * blocks}
    by_block = f" ({map_bytes * blocks / 2**20:,.0f})" if blocks > len(model.layers) else ""
    return plain, [
        FAMILIES[name].title,
        f"{backbone.image_size}",
        f"{parameters / 1e6:,.0f} M",
        f"{parts.forward / 1e9:,.0f} of {parts.whole / 1e9:,.0f}",
        f"{parts.backward / 1e9:,.0f}",
        f"{(parts.forward + parts.backward) / 1e9:,.0f}",
        f"{parts.encode / 1e9:,.0f}",
        f"{point / 1e12:,.0f} TFLOP",
        f"{map_bytes * len(model.layers) / 2**20:,.0f}{by_block} MiB",
    ]


_PAGE = """# What a step costs with every family

{table}

GFLOP of one query unless stated (1 MAC = 2 FLOPs), counted on the meta device at the true size. Forward: up to the last
layer that is read, of the whole UNet. Backward: to the embedding. Encode: one crop through the VAE. A point: its steps
and transfer crops with the family's settings (restarts x steps, restarts x crops), without encodes, which are shared.
"""


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--families", nargs="+", default=[name for name in FAMILIES if name != "toybox"])
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    args = parser.parse_args()
    rows = [row(name) for name in args.families]
    page = _PAGE.format(table=markdown(HEADER, [cells for _, cells in rows]))
    save("families", args.out, {"families": [plain for plain, _ in rows]}, page)
    Console().print(page, markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    command(main)
