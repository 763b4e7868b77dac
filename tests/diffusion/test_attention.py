import math

import pytest
import torch
from torch.autograd import gradcheck

from sdcorr.diffusion.attention import (
    AttentionTap,
    choose_heads,
    cross_attention_layers,
    cross_attention_paths,
    mean_map,
    resolve_layers,
    split_heads,
    token_column,
    token_map,
)
from sdcorr.errors import UserError


class TestTokenColumn:
    def test_shape(self):
        assert token_column(torch.randn(2, 3, 5, 4), torch.randn(2, 3, 7, 4), 1, 0.5).shape == (2, 3, 5)

    def test_hand_computed(self):
        query = torch.tensor([1.0, 0.0]).view(1, 1, 2, 1)
        key = torch.tensor([math.log(4), 0.0]).view(1, 1, 2, 1)
        # scores at scale 0.5: (log 2, 0) where the query is 1, (0, 0) where it is 0
        torch.testing.assert_close(token_column(query, key, 0, 0.5)[0, 0], torch.tensor([2 / 3, 1 / 2]))

    def test_tokens_share_one(self):
        query, key = torch.randn(2, 3, 5, 4), torch.randn(2, 3, 7, 4)
        total = sum(token_column(query, key, token, 0.5) for token in range(7))
        torch.testing.assert_close(total, torch.ones(2, 3, 5))

    def test_half_precision_is_read_in_float32(self):
        query, key = torch.randn(1, 1, 50, 4).bfloat16() * 8, torch.randn(1, 1, 7, 4).bfloat16() * 8
        column = token_column(query, key, 1, 0.5)
        assert column.dtype == torch.float32
        exact = token_column(query.double(), key.double(), 1, 0.5)
        torch.testing.assert_close(column.double(), exact, rtol=1e-5, atol=1e-7)

    def test_gradient(self):
        query = torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
        key = torch.randn(1, 2, 5, 4, dtype=torch.float64, requires_grad=True)
        assert gradcheck(lambda q, k: token_column(q, k, 1, 0.5), (query, key))


class TestTokenMap:
    def test_positions_are_read_row_by_row(self):
        query, key = torch.randn(2, 3, 6 * 6, 4), torch.randn(2, 3, 7, 4)
        read, column = token_map(query, key, 1, 0.5), token_column(query, key, 1, 0.5)
        assert read.shape == (2, 3, 6, 6)
        assert torch.equal(read[..., 4, 2], column[..., 4 * 6 + 2])  # row y, column x

    def test_one_set_of_queries_for_many_keys(self):
        query, key = torch.randn(1, 3, 9, 4), torch.randn(5, 3, 7, 4)
        expected = token_map(query.expand(5, -1, -1, -1), key, 1, 0.5)
        torch.testing.assert_close(token_map(query, key, 1, 0.5), expected)


def test_split_heads():
    x = torch.arange(2 * 5 * 6).view(2, 5, 6)
    heads = split_heads(x, 3)
    assert heads.shape == (2, 3, 5, 2)
    assert heads[1, 2, 4].tolist() == x[1, 4, 4:6].tolist()  # the last head has the last channels


class TestChooseHeads:
    @pytest.mark.parametrize("count, first", [(8, 4), (2, 1), (1, 0), (5, 2)])
    def test_last_half(self, count, first):
        assert list(range(count))[choose_heads("last_half", count)] == list(range(first, count))

    def test_all_and_numbers(self):
        assert list(range(8))[choose_heads("all", 8)] == list(range(8))
        assert choose_heads((6, 1), 8) == [6, 1]

    @pytest.mark.parametrize("heads", ["first_half", [0, 8], [-1]])
    def test_unknown(self, heads):
        with pytest.raises(
            UserError, match="from a layer of 8 heads: choose 'all', 'last_half' or numbers from 0 to 7"
        ):
            choose_heads(heads, 8)


PATHS = [
    "mid_block.attentions.0.transformer_blocks.0.attn2",
    "up_blocks.0.attentions.0.transformer_blocks.0.attn2",
    "up_blocks.0.attentions.0.transformer_blocks.1.attn2",
    "up_blocks.0.attentions.1.transformer_blocks.0.attn2",
    "up_blocks.0.attentions.1.transformer_blocks.1.attn2",
]


def names(*asked: str) -> list[str]:
    return [layer.name for layer in resolve_layers(asked, PATHS)]


class TestLayerNames:
    def test_order_of_execution(self, small_backbone):
        # The mid block stands last in the module tree, but runs between the two ways.
        layers = cross_attention_layers(cross_attention_paths(small_backbone.unet))
        assert [layer.name for layer in layers][:8] == [
            "down_blocks.0.attentions.0",
            "down_blocks.0.attentions.1",
            "down_blocks.1.attentions.0",
            "down_blocks.1.attentions.1",
            "mid_block.attentions.0",
            "up_blocks.0.attentions.0",
            "up_blocks.0.attentions.1",
            "up_blocks.0.attentions.2",
        ]

    def test_numbers_are_compared_as_numbers(self, small_backbone):
        asked = ["up_blocks.1.attentions.10", "up_blocks.1.attentions.9", "down_blocks.3.attentions.0"]
        layers = cross_attention_layers([f"{each}.transformer_blocks.0.attn2" for each in asked])
        tap = AttentionTap(Recorder(), layers)
        assert [path.split(".transformer")[0] for path in tap.paths] == [asked[2], asked[1], asked[0]]

    def test_an_attention_stands_for_all_its_blocks(self):
        (layer,) = resolve_layers(["up_blocks.0.attentions.1"], PATHS)
        assert layer.paths == tuple(PATHS[3:])

    def test_short_and_full_names_are_one(self):
        assert names(PATHS[0]) == names("mid_block.attentions.0.transformer_blocks.0") == ["mid_block.attentions.0"]
        assert names(PATHS[2]) == ["up_blocks.0.attentions.0.transformer_blocks.1"]

    def test_patterns_stay_between_dots(self):
        assert names("up_blocks.*.attentions.*") == ["up_blocks.0.attentions.0", "up_blocks.0.attentions.1"]
        assert names("up_blocks.0.attentions.1.transformer_blocks.*") == [
            "up_blocks.0.attentions.1.transformer_blocks.0",
            "up_blocks.0.attentions.1.transformer_blocks.1",
        ]
        with pytest.raises(UserError, match=r"no cross-attention layer up_blocks.\*: choose from mid_block"):
            names("up_blocks.*")

    def test_unknown_name_lists_the_known(self):
        with pytest.raises(UserError, match="no cross-attention layer up_blocks.7: choose from mid_block.attentions.0"):
            names("up_blocks.7")

    @pytest.mark.parametrize("asked", [[], ["mid_block.attentions.0", PATHS[0]], ["up_blocks.0.attentions.*"] * 2])
    def test_none_or_one_twice(self, asked):
        with pytest.raises(UserError, match="one layer or more, each once"):
            names(*asked)


class Recorder:
    """In the place of a UNet."""

    attn_processors: dict = {}

    def set_attn_processor(self, processors: dict) -> None:
        """Takes them and does nothing."""


def test_mean_of_the_maps_of_blocks():
    one, two = torch.full((1, 2, 3, 3), 0.25), torch.full((1, 2, 3, 3), 0.75)
    torch.testing.assert_close(mean_map([one, two]), torch.full((1, 2, 3, 3), 0.5))
    assert mean_map([one]) is one


def test_tapped_layers_attend_as_before(two_level_folder):
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained(two_level_folder, subfolder="unet").eval()
    inputs = torch.randn(2, 4, 16, 16), torch.tensor(7), torch.randn(2, 24, 64)
    with torch.no_grad():
        before = unet(*inputs).sample
        AttentionTap(unet, cross_attention_layers(cross_attention_paths(unet)))
        after = unet(*inputs).sample
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-6)
