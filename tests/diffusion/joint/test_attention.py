import math
from collections.abc import Callable

import pytest
import torch
from torch.autograd import gradcheck
from torch.utils.checkpoint import checkpoint

from sdcorr.diffusion.joint import attention
from sdcorr.diffusion.joint.attention import (
    TokenOrder,
    image_share,
    joint_column,
    joint_layers,
    resolve_joint_layers,
    square,
    text_column,
)
from sdcorr.errors import UserError
from tests.diffusion.joint.models import build_transformer

FLUX_LAYERS = [
    *(f"transformer_blocks.{i}.attn" for i in range(12)),
    *(f"single_transformer_blocks.{i}.attn" for i in range(3)),
]


def queries_and_keys(tokens: int = 3, image: int = 6, **options: object) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(2, 3, image, 4, generator=generator, **options)
    return query, torch.randn(2, 3, image + tokens, 4, generator=generator, **options)


class TestTokenOrder:
    def test_rows(self):
        rows = list(range(10))
        image_first, text_first = TokenOrder(False, 3), TokenOrder(True, 3)
        assert rows[image_first.image(10)] == [0, 1, 2, 3, 4, 5, 6] and rows[image_first.text(10)] == [7, 8, 9]
        assert rows[text_first.text(10)] == [0, 1, 2] and rows[text_first.image(10)] == [3, 4, 5, 6, 7, 8, 9]

    def test_of_a_sequence_without_an_image(self):
        for text_first in (False, True):
            order = TokenOrder(text_first, 3)
            assert order.image(3) in (slice(0, 0), slice(3, 3)) and order.text(3) == slice(0, 3)

    @pytest.mark.parametrize("text_first", [False, True])
    def test_join_puts_them_where_it_says(self, text_first):
        order, image, text = TokenOrder(text_first, 3), torch.zeros(1, 7, 2), torch.ones(1, 3, 2)
        joined = order.join(image, text)
        assert torch.equal(joined[:, order.image(10)], image) and torch.equal(joined[:, order.text(10)], text)


class TestJointColumn:
    def test_hand_computed(self):
        query = torch.tensor([1.0, 0.0]).view(1, 1, 2, 1)
        key = torch.tensor([math.log(4), math.log(3), 0.0]).view(1, 1, 3, 1)
        column = joint_column(query, key, 1)
        torch.testing.assert_close(column[0, 0], torch.tensor([3 / (4 + 3 + 1), 1 / 3]))

    def test_scale_is_the_models(self):
        query, key = torch.ones(1, 1, 1, 4), torch.tensor([[1.0] * 4, [0.0] * 4]).view(1, 1, 2, 4)
        assert joint_column(query, key, 0).item() == pytest.approx(math.exp(2) / (math.exp(2) + 1))  # 4 / sqrt(4)

    def test_tokens_of_both_kinds_share_one(self):
        query, key = queries_and_keys()
        total = sum(joint_column(query, key, token) for token in range(9))
        torch.testing.assert_close(total, torch.ones(2, 3, 6))

    def test_gradient(self):
        query, key = (x.requires_grad_() for x in queries_and_keys(dtype=torch.float64))
        assert gradcheck(lambda q, k: joint_column(q, k, 7), (query, key))

    @pytest.mark.parametrize("at_once", [1, 2 * 3 * 9 * 4])  # one row, four rows
    def test_few_rows_at_a_time_change_nothing(self, at_once, monkeypatch):
        query, key = (x.requires_grad_() for x in queries_and_keys())
        whole = joint_column(query, key, 7)
        expected = torch.autograd.grad(whole.square().sum(), (query, key))
        monkeypatch.setattr(attention, "_SCORES_AT_ONCE", at_once)
        column = joint_column(query, key, 7)
        torch.testing.assert_close(column, whole)
        torch.testing.assert_close(torch.autograd.grad(column.square().sum(), (query, key)), expected)

    def test_the_matrix_is_not_kept_for_the_backward_pass(self):
        query, key = (x.requires_grad_() for x in queries_and_keys(tokens=3, image=1024))
        kept = []

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            kept.append(tensor.untyped_storage().nbytes())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            joint_column(query, key, 7)
        assert max(kept) <= key.nbytes  # queries and keys, not their 1024 x 1027 scores

    def test_rows_that_are_done_hold_no_scores(self, monkeypatch):
        query, key = queries_and_keys(tokens=3, image=64)
        monkeypatch.setattr(attention, "_SCORES_AT_ONCE", 8 * 2 * 3 * 67)  # eight rows
        parts = []

        def watched(function: Callable, *inputs: object, **options: object) -> torch.Tensor:
            parts.append(checkpoint(function, *inputs, **options))
            return parts[-1]

        monkeypatch.setattr(attention, "checkpoint", watched)
        joint_column(query, key, 7)
        assert [part.shape[-1] for part in parts] == [8] * 8
        assert all(part.untyped_storage().nbytes() == part.nbytes for part in parts)

    def test_half_precision_is_read_in_float32(self):
        query, key = (8 * x for x in queries_and_keys(image=50, dtype=torch.bfloat16))
        column = joint_column(query, key, 51)
        assert column.dtype == torch.float32
        torch.testing.assert_close(
            column.double(), joint_column(query.double(), key.double(), 51), rtol=1e-5, atol=1e-7
        )


class TestTextColumn:
    def test_is_the_joint_column_where_the_share_is_the_images(self):
        query, key = queries_and_keys()
        share = image_share(query, key[:, :, :6])
        for token in range(3):
            expected = joint_column(query, key, 6 + token)
            torch.testing.assert_close(text_column(query, key[:, :, 6:], share, token), expected)

    def test_one_image_for_many_texts(self):
        query, key = queries_and_keys()
        share = image_share(query[:1], key[:1, :, :6])
        both = text_column(query[:1], key[:, :, 6:], share, 1)
        assert both.shape == (2, 3, 6)
        torch.testing.assert_close(both[1:], text_column(query[:1], key[1:, :, 6:], share, 1))

    def test_share_hand_computed(self):
        query, key = torch.tensor([2.0]).view(1, 1, 1, 1), torch.tensor([0.0, 1.0]).view(1, 1, 2, 1)
        assert image_share(query, key).item() == pytest.approx(math.log(1 + math.exp(2)))

    def test_share_of_few_rows_at_a_time(self, monkeypatch):
        query, key = queries_and_keys()
        whole = image_share(query, key)
        monkeypatch.setattr(attention, "_SCORES_AT_ONCE", 1)
        torch.testing.assert_close(image_share(query, key), whole)

    def test_gradient(self):
        query, key = queries_and_keys(dtype=torch.float64)
        share = image_share(query, key[:, :, :6])
        assert gradcheck(lambda k: text_column(query, k, share, 1), key[:, :, 6:].clone().requires_grad_())


def test_square_is_row_by_row():
    assert square(torch.arange(9.0))[1, 2] == 5


class TestLayers:
    @pytest.mark.parametrize(
        "family, double, single", [("sd3_medium", 4, 0), ("sd35_medium", 4, 0), ("flux_dev", 2, 3)]
    )
    def test_every_joint_layer_in_order_of_execution(self, family, double, single):
        layers = joint_layers(build_transformer(family))
        assert layers == [
            *(f"transformer_blocks.{i}.attn" for i in range(double)),
            *(f"single_transformer_blocks.{i}.attn" for i in range(single)),
        ]

    @pytest.mark.parametrize(
        "names, expected",
        [
            (["transformer_blocks.10.attn", "transformer_blocks.2.attn"], [10, 2]),
            (["transformer_blocks.[123].attn"], [1, 2, 3]),
            (["transformer_blocks.1*.attn"], [1, 10, 11]),
            (["single_transformer_blocks.*.attn"], [12, 13, 14]),
            (["transformer_blocks.*.attn"], range(12)),
            (["*"], range(15)),
        ],
    )
    def test_names_and_patterns(self, names, expected):
        assert resolve_joint_layers(names, FLUX_LAYERS) == tuple(FLUX_LAYERS[index] for index in expected)

    def test_unknown_name_says_what_there_is(self):
        with pytest.raises(UserError) as error:
            resolve_joint_layers(["transformer_blocks.12.attn", "transformer_blocks.0.attn"], FLUX_LAYERS)
        assert str(error.value) == (
            "The transformer has no joint attention layer transformer_blocks.12.attn: choose from "
            "transformer_blocks.0.attn to transformer_blocks.11.attn, single_transformer_blocks.0.attn to "
            "single_transformer_blocks.2.attn; `*` stands for every number."
        )

    @pytest.mark.parametrize("names", [[], ["transformer_blocks.0.attn", "transformer_blocks.[01].attn"]])
    def test_none_or_one_twice(self, names):
        with pytest.raises(UserError, match="one layer or more, each once: choose from transformer_blocks.0.attn to"):
            resolve_joint_layers(names, FLUX_LAYERS)
