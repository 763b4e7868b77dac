import pytest
from transformers import CLIPTokenizer

from sdcorr.toybox import world
from sdcorr.toybox.anatomy import MODEL_FOLDER, TOKENS, build_tokenizer, tokenize
from sdcorr.toybox.classes import THINGS
from sdcorr.toybox.palette import COLORS
from sdcorr.toybox.world import TRAIN, VAL, draw


def captions(world_number, count, category=None):
    return [draw((world_number, index), category=category, annotate=False).caption for index in range(count)]


@pytest.fixture(scope="module", params=["new", "shipped"])
def tokenizer(request, tmp_path_factory):
    """One learned from training captions here, and the one that ships."""
    if request.param == "shipped":
        return CLIPTokenizer.from_pretrained(MODEL_FOLDER / "tokenizer")
    return build_tokenizer(captions(TRAIN, 1500), tmp_path_factory.mktemp("tokenizer"))


class TestTokenizer:
    def test_every_word_is_one_token(self, tokenizer):
        words = sorted({word for caption in captions(VAL, 500) for word in caption.split()} | set(COLORS))
        assert {word: tokenizer.tokenize(word) for word in words} == {word: [f"{word}</w>"] for word in words}

    def test_captions_survive(self, tokenizer):
        for caption in captions(VAL, 50):
            ids = tokenize(tokenizer, [caption])[0]
            assert tokenizer.decode(ids, skip_special_tokens=True).strip() == caption

    def test_the_longest_captions_fit(self, tokenizer, monkeypatch):
        monkeypatch.setattr(world, "MENTIONED", 1.0)
        for name in THINGS:
            for caption in captions(VAL, 3, category=name):
                ids = tokenize(tokenizer, [caption])
                assert ids.shape == (1, TOKENS) and len(caption.split()) + 2 <= TOKENS
                assert ids[0, 0] == tokenizer.bos_token_id
                assert ids[0, len(caption.split()) + 1 :].eq(tokenizer.eos_token_id).all()

    def test_the_empty_caption(self, tokenizer):
        assert tokenize(tokenizer, [""])[0, 1:].eq(tokenizer.eos_token_id).all()
