import dataclasses

import numpy as np
import pytest

from sdcorr.errors import UserError
from sdcorr.scoring.arrays import Arrays
from sdcorr.scoring.averages import AVERAGES
from sdcorr.scoring.protocols import NORMALIZERS, PROTOCOLS, protocol_named
from tests.run.fakes import make_pair

STANDARD, HEDLIN = PROTOCOLS["standard"], PROTOCOLS["hedlin"]
POINTS = [[40, 100], [60, 120], [50, 110]]

# make_pair: source 100 x 50 with box (10, 10, 60, 40); target 80 x 160 with box (5, 20, 45, 120)

LENGTHS = {  # protocol, data set -> the length of make_pair with POINTS in the target, by hand
    ("standard", "toybox"): 100,
    ("standard", "spair"): 100,
    ("standard", "spair_u"): 100,
    ("standard", "cub"): 100,
    ("standard", "ap10k"): 100,
    ("standard", "pfwillow"): 20,  # the key-points' 20 x 20, whatever the box
    ("standard", "pfpascal"): 160,
    ("standard", "tss"): 160,  # of the target image
    ("standard", "folder"): 100,
    ("hedlin", "spair"): 30 * 512 / 50,  # the source box's height, which the square makes its longer side
    ("hedlin", "pfwillow"): 120 * 512 / 160 + 1,  # key-points reach from the padding at -1 to 60 x 6.4, 120 x 3.2
    ("hedlin", "cub"): 100 * 512 / 80,  # the height of the target's box, times the factor of x
    ("dift", "spair"): 100,
    ("sd_dino", "spair"): 100 * 840 / 160,
    ("sd_dino", "pfpascal"): 840,
    ("geoaware", "spair"): 100 * 840 / 160,
    ("geoaware", "spair_u"): 100 * 840 / 160,
    ("geoaware", "ap10k"): 100 * 840 / 160,
    ("geoaware", "pfpascal"): 840,
    ("cats_bbox", "spair"): 100 * 256 / 160,
    ("cats_bbox", "pfwillow"): 120 * 256 / 160 + 1,
    ("cats_bbox", "pfpascal"): 256,
    ("hpf", "spair"): 100,  # 80 x 160 is under 300 already
    ("hpf", "pfwillow"): 20,
    ("hpf", "pfpascal"): 160,
    ("asic", "spair"): 100 * 256 / 160,
    ("asic", "cub"): 256,
    ("image_side", "pfwillow"): 160,
    ("image_side", "pfpascal"): 160,
    ("distilldift_released", "spair"): 100 * 840 / 160,  # the factor of y, though x has twice that
}


@pytest.mark.parametrize(("name", "dataset"), LENGTHS)
def test_length(name, dataset):
    length = PROTOCOLS[name].length(dataset, make_pair(target_points=POINTS))
    assert length == pytest.approx(LENGTHS[name, dataset])


def test_every_rule_has_a_length_computed_by_hand():
    rules = {(name, dataset) for name, protocol in PROTOCOLS.items() for dataset in protocol.normalizers}
    assert rules <= set(LENGTHS)


EXACT = {  # protocol -> by how much, in original pixels, a perfect prediction exceeds the annotated number
    "standard": (0, 0),
    "hedlin": (0, 0),
    "dift": (0.5, 0.5),
    "sd_dino": (0.5 * 160 / 840, 0.5 * 160 / 840),
    "geoaware": (0, 0),
    "cats_bbox": (0, 0),
    "hpf": (0, 0),
    "asic": (0.5 * 160 / 256, 0.5 * 160 / 256),
    "distilldift_released": (0, 0),
    "image_side": (0, 0),
}


def home(name):
    """A data set that the protocol has a rule for: SPair-71k, which almost all have."""
    return "spair" if PROTOCOLS[name].knows("spair") else next(iter(PROTOCOLS[name].normalizers))


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_perfect_prediction(name):
    pair, protocol = make_pair(target_points=POINTS), PROTOCOLS[name]
    exact = pair.true_points + EXACT[name]
    assert protocol.correct(home(name), pair, exact, [1e-6]).all()
    assert not protocol.correct(home(name), pair, exact + [[0.05, 0]], [1e-6]).any()


STRICT = {"sd_dino", "geoaware", "asic", "distilldift_released"}


@pytest.mark.parametrize("name", sorted(set(PROTOCOLS) - {"hedlin"}))
def test_a_distance_on_the_threshold(name):
    """A quarter of the length away, where every number is exact: whether that is right is the protocol's word."""
    pair = make_pair(points=1, target_points=[[16, 16]], target_size=(64, 64), target_box=(0, 0, 32, 32))
    if name in ("sd_dino", "geoaware", "distilldift_released"):
        pair = make_pair(points=1, target_points=[[16, 16]], target_size=(840, 840), target_box=(0, 0, 32, 32))
    if name == "image_side":
        pair = make_pair(points=1, target_points=[[16, 16]], target_size=(32, 20))
    protocol = dataclasses.replace(PROTOCOLS[name], offset=0.0)
    on_the_threshold = np.array([[24, 16]])
    assert protocol.correct(home(name), pair, on_the_threshold, [0.25]).item() == (name not in STRICT)
    assert protocol.correct(home(name), pair, on_the_threshold - [[0.125, 0]], [0.25]).item()


class TestStandard:
    def test_correct_counts_visible_points_in_original_pixels(self):
        pair = make_pair(target_points=[[10, 10], [20, 20], [30, 30]], visible=[True, False, True])
        predicted = np.array([[10, 20], [30, 35.5]])  # 10 and 5.5 pixels off
        correct = STANDARD.correct("spair", pair, predicted, [0.05, 0.1])
        assert correct.tolist() == [[False, True], [False, True]]

    def test_hidden_key_points_do_not_widen_the_box_of_the_others(self):
        points = [[10, 20], [40, 25], [30, 90]]
        assert STANDARD.length("pfwillow", make_pair(target_points=points)) == 70
        assert STANDARD.length("pfwillow", make_pair(target_points=points, visible=[True, True, False])) == 30

    def test_a_data_set_of_one_s_own_without_boxes_is_measured_by_the_image(self):
        assert STANDARD.length("folder", make_pair(target_box=None)) == 160

    def test_tss_averages_within_each_subset(self):
        assert STANDARD.on("tss").headline == "category_per_image"
        assert STANDARD.on("spair").headline == "per_point"


class TestFrames:
    def test_hedlin_is_a_square_of_512_in_single_precision(self):
        assert HEDLIN.to_frame(np.array([[100.0, 50.0]]), (100, 50)).tolist() == [[512, 512]]
        assert HEDLIN.to_frame(np.zeros((1, 2)), (100, 50)).dtype == np.float32

    def test_a_squashed_image_makes_an_ellipse_of_the_tolerance(self):
        pair = make_pair(points=1, target_points=[[40, 80]])  # x is stretched by 6.4, y by 3.2
        reach = HEDLIN.length("spair", pair) * 0.1
        for step, factor in (([1, 0], 6.4), ([0, 1], 3.2)):
            for share, right in ((0.99, True), (1.01, False)):
                predicted = pair.true_points + share * reach / factor * np.array([step])
                assert HEDLIN.correct("spair", pair, predicted, [0.1]).item() == right

    def test_a_capped_image_shrinks_distance_and_length_alike(self):
        pair = make_pair(points=1, target_points=[[40, 80]], target_size=(400, 600), target_box=(0, 0, 100, 50))
        hpf = PROTOCOLS["hpf"]
        assert hpf.length("spair", pair) == 50
        assert hpf.correct("spair", pair, np.array([[49.9, 80]]), [0.1]).item()
        assert not hpf.correct("spair", pair, np.array([[50.1, 80]]), [0.1]).item()

    def test_birds_of_asic_are_cropped_and_count_from_one(self):
        pair = make_pair(points=1, target_points=[[31, 71]], target_box=(11, 21, 50, 120))
        asic = PROTOCOLS["asic"].on("cub")
        scale = 256 / 110  # see the test of the crop
        assert asic.to_frame(np.array([[30, 70]]), pair.target_size, pair.target_box) == pytest.approx(
            np.array([[55 * scale, 55 * scale]])
        )
        exact = np.array([[30, 70]]) + 0.5 / scale  # the first pixel is 1 in the annotation and 0 in the crop
        assert asic.correct("cub", pair, exact, [1e-6]).item()
        assert asic.correct("cub", pair, exact + [[10.9, 0]], [0.1]).item()  # 0.1 x 256 is 11 original pixels
        assert not asic.correct("cub", pair, exact + [[11.1, 0]], [0.1]).item()


class TestManyPairs:
    @pytest.mark.parametrize("name", PROTOCOLS)
    def test_at_once_as_one_by_one(self, name):
        draws = np.random.default_rng(1)
        pairs = [make_pair(f"{k}-z", points=1 + k % 4, target_size=(60 + 20 * k, 150)) for k in range(8)]
        predicted = [pair.true_points + draws.normal(0, 8, pair.true_points.shape) for pair in pairs]
        protocol, alphas = PROTOCOLS[name], (0.05, 0.1)
        together = protocol.correct_points(Arrays.of(home(name), list(zip(pairs, predicted, strict=True))), alphas)
        alone = [protocol.correct(home(name), pair, at, alphas) for pair, at in zip(pairs, predicted, strict=True)]
        assert np.array_equal(together, np.concatenate(alone))
        assert 0 < together.mean() < 1


class TestChoices:
    @pytest.mark.parametrize(("name", "which"), [("hedlin", "source"), ("asic", "target"), ("standard", "target")])
    def test_a_pair_without_the_box_is_the_user_s_to_solve(self, name, which):
        pair = make_pair(target_points=POINTS, **{f"{which}_box": None})
        with pytest.raises(UserError, match=f"{name} .* {which} .* a-b "):
            PROTOCOLS[name].correct("spair", pair, pair.true_points, [0.1])

    def test_a_crop_round_the_box_needs_one(self):
        pair = make_pair(target_box=None)
        with pytest.raises(UserError, match="asic .* target .* a-b "):
            PROTOCOLS["asic"].correct("cub", pair, pair.true_points, [0.1])

    def test_the_toybox_is_scored_as_spair(self):
        for protocol in [each for each in PROTOCOLS.values() if each.knows("spair")]:
            assert protocol.length("toybox", make_pair()) == protocol.length("spair", make_pair())

    def test_every_preset_names_things_that_exist(self):
        for protocol in PROTOCOLS.values():
            assert set(protocol.normalizers.values()) <= set(NORMALIZERS)
            assert protocol.headline in AVERAGES

    def test_an_unknown_name_is_answered_with_those_there_are(self):
        assert protocol_named("hedlin") is HEDLIN
        with pytest.raises(UserError, match="'pascal'.*asic, cats_bbox, dift.*standard"):
            protocol_named("pascal")

    def test_an_unknown_data_set_is_answered_with_those_that_are_known(self):
        with pytest.raises(UserError, match="hedlin has no rule for the data set tss, only for spair, pfwillow, cub"):
            protocol_named("hedlin", "tss")
        with pytest.raises(UserError, match="dift has no rule for the data set cub, only for spair"):
            PROTOCOLS["dift"].correct("cub", make_pair(), make_pair().true_points, [0.1])
        assert protocol_named("standard", "anything") is STANDARD
