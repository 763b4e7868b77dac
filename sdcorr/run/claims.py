"""The claim on a method's records as a file, and how two of them differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sdcorr.methods.base import Claim

SHOWN = 4  # differences that are told
ABSENT = "absent"
IMPORTED = "imported"  # the kind of a claim on predictions that came from a file (`sdcorr.exchange.imports`)


def to_plain(claim: Claim) -> dict[str, Any]:
    """A claim as plain values, as they come back from a file."""
    plain = {"kind": claim.kind, "version": claim.version, "settings": claim.settings, "model": claim.model}
    return json.loads(json.dumps(plain, default=dict))


def from_plain(plain: Any) -> Claim:
    """Rebuilds a claim.

    Raises:
        ValueError, KeyError, TypeError: if it is none.
    """
    if not isinstance(plain, Mapping) or not isinstance(plain["settings"], Mapping):
        raise ValueError("it is not a claim")
    return Claim(str(plain["kind"]), int(plain["version"]), dict(plain["settings"]), plain["model"])


def told(stored: Any, wanted: Any) -> str:
    """How two nested values differ, for a sentence: the first differences, and how many more there are."""
    found = list(differences(stored, wanted))
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return f"{'; '.join(found[:SHOWN])}{more}"


def differences(stored: Any, wanted: Any, key: str = "") -> Iterator[str]:
    """The leaves that differ between two nested values, as `key is A there and B here`.

    >>> list(differences({"steps": 5, "model": {"layers": ["a"]}}, {"steps": 6, "model": None}))
    ["model.layers is ['a'] there and absent here", 'steps is 5 there and 6 here']
    """
    nested = [isinstance(side, Mapping) for side in (stored, wanted)]
    if all(nested) or (any(nested) and None in (stored, wanted)):
        there, here = stored or {}, wanted or {}
        for name in sorted(there.keys() | here.keys()):
            inner = f"{key}.{name}" if key else name
            yield from differences(there.get(name, ABSENT), here.get(name, ABSENT), inner)
    elif stored != wanted:
        yield f"{key} is {stored} there and {wanted} here"
