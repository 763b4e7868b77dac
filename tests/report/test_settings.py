from sdcorr.methods.base import Claim
from sdcorr.report.settings import variants_of, varied

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
