"""What is remembered, and what is forgotten first."""

import pytest
from PIL import Image

from sdcorr.app import sessions
from sdcorr.app.refusal import Refusal
from sdcorr.app.sessions import Held, Sessions
from sdcorr.pictures import name_picture


def held(side: int = 10) -> Held:
    return Held(name_picture(Image.new("RGB", (side, side)), "a.png"), b"", "image/png")


def test_pictures_belong_to_their_session() -> None:
    memory = Sessions()
    one, other = memory.open(), memory.open()
    name = memory.hold(one, held())
    assert one.picture(name) and memory.shown(name)
    with pytest.raises(Refusal, match="choose it again"):
        other.picture(name)
    assert len(name) >= 20 and len(one.id) >= 30 and one.id != other.id


def test_an_unknown_session_is_told_so() -> None:
    with pytest.raises(Refusal, match="forgotten this page") as refused:
        Sessions().get("guess")
    assert refused.value.status == 410


def test_who_was_not_seen_for_longest_is_forgotten_first() -> None:
    memory = Sessions()
    first, second = memory.open(), memory.open()
    memory.get(first.id)
    for _ in range(sessions.MOST_SESSIONS - 1):
        memory.open()
    assert len(memory) == sessions.MOST_SESSIONS and memory.get(first.id)
    with pytest.raises(Refusal):
        memory.get(second.id)


def test_bytes_are_bounded() -> None:
    memory = Sessions(budget=3 * 100 * 100 * 4)  # four such pictures
    one, other = memory.open(), memory.open()
    for _ in range(3):
        memory.hold(one, held(100))
    for _ in range(2):
        memory.hold(other, held(100))
    with pytest.raises(Refusal):  # five are too many, and the other page was there last
        memory.get(one.id)
    names = [memory.hold(other, held(100)) for _ in range(5)]
    assert other.nbytes <= 3 * 100 * 100 * 4 and list(other.pictures) == names[-4:]
