"""What a step costs with a family."""

import pytest
from families import HEADER, row

from sdcorr.diffusion.families import FAMILIES


@pytest.mark.slow
def test_a_row():
    plain, cells = row("tiny_sd")
    assert len(cells) == len(HEADER) and cells[0] == FAMILIES["tiny_sd"].title
    assert plain["parameters"] == pytest.approx(323.4e6, rel=1e-3)  # as published
    assert plain["forward"] < plain["whole"]
    assert plain["map_bytes"] == plain["map_bytes_by_block"] == 5 * 3 * 512 * 512 * 4  # restarts, layers, S x S
    assert plain["point"] == 5 * (129 * (plain["forward"] + plain["backward"]) + 20 * plain["forward"])
