from dataclasses import asdict

from sdcorr.methods.base import Claim
from sdcorr.prompt.settings import PromptSettings
from sdcorr.report.settings import unlike_released, variants_of, varied

KIND = "sdcorr.methods.prompt.Prompt"


def prompt(model=None, **settings) -> Claim:
    return Claim(KIND, 1, {"restarts": 5, "noise": "normal", "steps": 30, "flip": True} | settings, model)


def test_a_variant_is_of_the_subject_s_kind_whatever_its_name() -> None:
    claims = {"a=b": Claim("other", 1, {}), "mine": prompt(), "again": prompt(restarts=1)}
    assert variants_of("mine", claims) == ("again",)
    assert variants_of("mine", {}) == () and variants_of("a=b", claims) == ()


def test_numbers_that_are_all_that_variants_change() -> None:
    claims = {
        "mine": prompt({"image_size": 512}),
        "three": prompt({"image_size": 512}, restarts=3),
        "one": prompt({"image_size": 512}, restarts=1),
        "words": prompt({"image_size": 512}, noise="uniform"),
        "switch": prompt({"image_size": 512}, flip=False),
        "two at once": prompt({"image_size": 512}, restarts=2, steps=15),
        "small": prompt({"image_size": 256}),
        "other": Claim("other", 1, {"restarts": 7}),
    }
    assert varied("mine", claims) == {
        "restarts": {1.0: "one", 3.0: "three", 5.0: "mine"},
        "model.image_size": {256.0: "small", 512.0: "mine"},
    }


class TestUnlikeReleased:
    def claim(self, side: int = 512, **settings) -> Claim:
        return Claim(KIND, 1, asdict(PromptSettings()) | settings, {"image_size": side})

    def test_the_released_code_itself(self) -> None:
        assert unlike_released("prompt", self.claim(seed=3)) == ""

    def test_lengths_follow_the_side(self) -> None:
        """27.98 and 28 pixels of 512 are 6.99 and 7 of 128."""
        small = self.claim(128, sigma=27.97853316316864 / 4, window=7, steps=2)
        assert unlike_released("mine", small) == (
            "mine has other settings than the paper's released code: an image of 128 instead of 512 pixels, steps 2 "
            "instead of 129."
        )

    def test_only_the_method_of_the_paper_has_a_released_code(self) -> None:
        assert unlike_released("x", Claim("other", 1, {"steps": 2})) == "" and unlike_released("x", None) == ""
