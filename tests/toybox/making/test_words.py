import numpy as np
import pytest
import torch
from PIL import Image

from sdcorr.toybox.anatomy import MODEL_FOLDER, tokenize
from sdcorr.toybox.classes import THINGS
from sdcorr.toybox.dataset import drawing
from sdcorr.toybox.making.words import LAYERS, Word, WordReader, part_words, ratio_of_sums, score_twins, score_words
from sdcorr.toybox.world import SIZE, VAL, Drawing

CAPTION = "a cat on green white left eye orange fur green right eye"


def block(x, y, side):
    """A square mask."""
    mask = np.zeros((SIZE, SIZE), np.float32)
    mask[y : y + side, x : x + side] = 1
    return mask


def made_up(masks, caption=CAPTION):
    none = np.zeros(0)
    return Drawing(Image.new("RGB", (SIZE, SIZE)), caption, "cat", (), none, none, none, (0, 0, 1, 1), masks, ())


class TestPartWords:
    masks = {"fur": block(0, 0, 32), "left eye": block(4, 4, 4), "right eye": block(16, 4, 4), "nose": block(9, 9, 4)}

    def test_the_last_word_of_each_part_that_is_named(self):
        found = part_words(made_up(self.masks))
        assert found == [Word("fur", 9), Word("left eye", 7), Word("right eye", 12)]

    def test_hidden_parts_are_left_out(self):
        assert part_words(made_up(self.masks | {"left eye": block(4, 4, 2)})) == [Word("fur", 9), Word("right eye", 12)]

    def test_tokens_are_those_of_the_tokenizer(self, workshop):
        tokenizer = WordReader(workshop.model).tokenizer
        for name in THINGS:
            shown = drawing(f"{VAL}/{name}/100")
            ids = tokenize(tokenizer, [shown.caption])[0]
            for word in part_words(shown):  # this small tokenizer may split words, so compare what the captions say
                assert shown.caption.split()[word.token - 1] == word.part.split()[-1]
            assert ids[0] == tokenizer.bos_token_id


class TestScoreWords:
    masks = {"fur": block(0, 0, 32), "left eye": block(4, 4, 4), "right eye": block(16, 4, 4)}

    def score(self, *maps):
        return score_words([made_up(self.masks)], [np.stack(maps) / np.sum(maps, axis=(1, 2), keepdims=True)])

    def test_maps_that_are_the_parts(self):
        found = self.score(*self.masks.values())
        assert found["all"].words == 3 and found["fur"].words == 1 and found["eye"].words == 2
        assert found["eye"].mass == pytest.approx(1) and found["eye"].peak == 1
        assert found["eye"].area == pytest.approx(16 / SIZE**2) and found["eye"].lift.value == pytest.approx(
            SIZE**2 / 16
        )
        assert found["all"].lift.value == pytest.approx(3 / ((1024 + 32) / SIZE**2))

    def test_flat_maps_are_chance(self):
        found = self.score(*[np.ones((SIZE, SIZE))] * 3)
        assert [score.lift.value for score in found.values()] == pytest.approx([1, 1, 1])
        assert found["all"].mass == pytest.approx(found["all"].area)

    def test_the_other_eye_is_wrong(self):
        found = self.score(self.masks["fur"], self.masks["right eye"], self.masks["left eye"])
        assert found["eye"].mass == 0 == found["eye"].peak and found["fur"].mass == pytest.approx(1)

    def test_the_interval_is_over_drawings(self):
        good, bad = self.masks["fur"] / 1024, np.full((SIZE, SIZE), 1 / SIZE**2, np.float32)
        drawings = [made_up({"fur": self.masks["fur"]}) for _ in range(20)]
        same = score_words(drawings, [good[None]] * 20)["fur"].lift
        mixed = score_words(drawings, [good[None]] * 10 + [bad[None]] * 10)["fur"].lift
        assert same == pytest.approx((4, 4, 4))
        assert mixed.low < mixed.value < mixed.high and mixed.value == pytest.approx(2.5)


class TestScoreTwins:
    def test_left_from_right(self):
        masks = {"fur": block(0, 0, 32), "left eye": block(4, 4, 4), "right eye": block(16, 4, 6)}
        fur, left, right = (mask / mask.sum() for mask in masks.values())

        def share(left_map, right_map):
            return score_twins([made_up(masks)], [np.stack([fur, left_map, right_map])]).value

        assert share(left, right) == pytest.approx(1)
        assert share(right, left) == pytest.approx(0)
        assert share(fur, fur) == pytest.approx(0.5)  # a pixel of either eye gets the same
        assert share(left, fur) == pytest.approx(0.75)

    def test_hidden_twins_do_not_count(self):
        masks = {"fur": block(0, 0, 32), "left eye": block(4, 4, 4), "right eye": block(16, 4, 6)}
        drawings = [made_up(masks), made_up(masks | {"right eye": block(16, 4, 2)})]
        fur, left, right = (mask / mask.sum() for mask in masks.values())
        maps = [np.stack([fur, left, right]), np.stack([fur, right])]
        assert score_twins(drawings, maps) == pytest.approx((1, 1, 1))


class TestRatioOfSums:
    def test_groups_stay_together(self):
        groups, above, below = np.array([5, 5, 9]), np.array([1.0, 2, 3]), np.array([1.0, 1, 4])
        assert ratio_of_sums(groups, above, below) == pytest.approx((1, 0.75, 1.5))

    def test_interval_of_a_share(self):
        right = np.arange(400) % 4 == 0
        value, low, high = ratio_of_sums(np.arange(400), right.astype(float), np.ones(400))
        spread = 1.96 * (0.25 * 0.75 / 400) ** 0.5
        assert value == 0.25 and (low, high) == pytest.approx((0.25 - spread, 0.25 + spread), abs=0.01)


class TestWordReader:
    def test_maps(self, workshop):
        reader, shown = WordReader(workshop.model), drawing(f"{VAL}/bird/100")
        words = part_words(shown)
        maps = reader.maps(shown, words, draws=2)
        assert maps.shape == (len(words), len(LAYERS), SIZE, SIZE)
        assert maps.sum((-2, -1)) == pytest.approx(torch.ones(len(words), len(LAYERS)), abs=1e-4)
        assert torch.equal(maps, reader.maps(shown, words, draws=2))
        assert not torch.equal(maps, reader.maps(shown, words, draws=2, seed=1))
        alone = reader.maps(shown, words[1:2], draws=2)
        assert torch.allclose(alone, maps[1:2], atol=1e-7)

    def test_the_shipped_model_knows_where_parts_are(self):
        """It was never told: captions alone have put the attention of part names on the parts."""
        reader = WordReader(MODEL_FOLDER)
        drawings = [drawing(f"{VAL}/{name}/{index}") for name in THINGS for index in (100, 101)]
        maps = [reader.maps(shown, part_words(shown), draws=2).mean(1).numpy() for shown in drawings]
        found = score_words(drawings, maps)["all"]
        assert found.lift.low > 3 and found.peak > 0.4 and found.area < 0.05
