"""What makes runs, or a method and its variants, different: their settings, leaf by leaf."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sdcorr.methods.base import Claim
from sdcorr.run.claims import IMPORTED

PROMPT = "sdcorr.methods.prompt.Prompt"
LENGTHS = ("sigma", "window")  # pixels of the image that the model sees
SIDE = 512  # of that image in the released code
UNSEEN = ("seed", "queries_per_batch")  # settings that make no other method

LEAST = 3  # values of a setting, the method's own among them, that make a curve


def unlike_released(name: str, claim: Claim | None) -> str:
    """How the settings of the paper's method differ from those of its released code, as a sentence.

    Lengths in pixels are compared as shares of the side of the image. Empty if nothing differs, or for another method.

    Args:
        name: of the method.
        claim: what made its predictions, if that is known.
    """
    if claim is None or claim.kind != PROMPT:
        return ""
    from sdcorr.prompt.settings import PromptSettings  # not at the top: it imports torch, which scoring does without

    side = int((claim.model or {}).get("image_size", SIDE))
    found = [f"an image of {side} instead of {SIDE} pixels"] if side != SIDE else []
    for key, value in {**asdict(PromptSettings()), "consensus": "none", "refine": "none"}.items():
        own, released = claim.settings.get(key, value), value * side / SIDE if key in LENGTHS else value
        slack = 0.5 if key == "window" else 0.0  # it is rounded
        same = math.isclose(own, released, abs_tol=slack) if is_number(own) else own == released
        if key not in UNSEEN and not same:
            found.append(f"{key} {own} instead of {released}")
    return f"{name} has other settings than the paper's released code: {', '.join(found)}." if found else ""


def differing(configs: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, list[Any]]]:
    """Settings that are not the same in all configurations, with the value of each; None where one has no such setting.

    >>> list(differing([{"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, {}]))
    [('a.b', [1, 1, None]), ('a.c', [2, 3, None])]
    """
    flat = [dict(_leaves(config)) for config in configs]
    for name in dict.fromkeys(name for each in flat for name in each):
        values = [each.get(name) for each in flat]
        if any(value != values[0] for value in values):
            yield name, values


def is_number(value: Any) -> bool:
    """Whether a setting is a number, so that a score can be drawn over it."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def variants_of(subject: str, claims: Mapping[str, Claim]) -> tuple[str, ...]:
    """The methods that are the subject with other settings: those whose claim is of the same kind.

    What was imported has no settings of its own, so one file is no variant of another.
    """
    if subject not in claims or claims[subject].kind == IMPORTED:
        return ()
    return tuple(name for name in claims if name != subject and claims[name].kind == claims[subject].kind)


def varied(subject: str, claims: Mapping[str, Claim]) -> dict[str, dict[float, str]]:
    """Numbers that are all that some variants change.

    Returns:
        Setting -> value -> the method that has it, the subject's own value among them, in the order of the values.
    """
    found: dict[str, dict[float, str]] = {}
    for name in variants_of(subject, claims):
        changed = list(differing([_settings(claims[subject]), _settings(claims[name])]))
        if len(changed) == 1 and all(map(is_number, changed[0][1])):
            ((setting, (own, value)),) = changed
            found.setdefault(setting, {float(own): subject})[float(value)] = name
    return {setting: dict(sorted(values.items())) for setting, values in found.items()}


def _settings(claim: Claim) -> dict[str, Any]:
    return {**claim.settings, "model": claim.model}


def _leaves(config: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(config, Mapping):
        for key, value in config.items():
            yield from _leaves(value, f"{name}.{key}" if name else str(key))
    else:
        yield name, config
