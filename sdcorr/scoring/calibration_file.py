"""Calibrations as files, and those that come with the program.

A file is a small YAML that says what it was fitted on:

    format: sdcorr calibration 1
    dataset, split, pairs, points   that it was fitted on
    protocol, alpha                 what right means: within alpha under that protocol
    outcomes                        by name (`right`: the match is right; `there`: the target shows the point) a
                                    logistic regression, and how well it did on pairs that it had not seen
    method                          the claim of the method whose matches it judges: kind, version, settings, model

What comes with the program is in `calibrations/`, and is used on its own data set alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from sdcorr.errors import UserError
from sdcorr.files import write_whole
from sdcorr.methods.base import Claim
from sdcorr.run.claims import from_plain, to_plain
from sdcorr.scoring.arrays import Arrays
from sdcorr.scoring.calibration import Calibration, Outcome, evidence_of
from sdcorr.scoring.logistic import Logistic
from sdcorr.scoring.protocols import PROTOCOLS

FORMAT = "sdcorr calibration 1"
SHIPPED = Path(__file__).with_name("calibrations")


def judged_by(claim: Claim, arrays: Arrays, given: Path | None = None) -> Calibration | None:
    """The calibration that judges a method's matches: one that is given, or one that comes with the program.

    Args:
        claim: of the method.
        arrays: its matches.
        given: a file; None for what comes with the program, which is for its own data set alone.

    Returns:
        None if none is given, and none that comes with the program fits.

    Raises:
        UserError: if the given file is none, or does not fit.
    """
    evidence = evidence_of(arrays)
    if given:
        found = read_calibration(given)
        if why := found.lacking(claim, evidence):
            raise UserError(f"{given} does not fit these matches: {why}.")
        return found
    return next(
        (each for each in shipped() if each.dataset == arrays.dataset and not each.lacking(claim, evidence)), None
    )


def of_method(claim: Claim) -> Calibration | None:
    """What comes with the program for a method, whatever pictures it is used on; None if nothing does."""
    return next((each for each in shipped() if not each.unlike(claim)), None)


@cache
def shipped() -> tuple[Calibration, ...]:
    """The calibrations that come with the program."""
    return tuple(read_calibration(path) for path in sorted(SHIPPED.glob("*.yaml")))


def write_calibration(found: Calibration, path: Path) -> None:
    """Writes the file, in one piece.

    Raises:
        UserError: if it cannot be written.
    """
    plain = {
        "format": FORMAT,
        **{name: getattr(found, name) for name in ("dataset", "split", "pairs", "points", "protocol", "alpha")},
        "outcomes": {name: _outcome_to_plain(outcome) for name, outcome in found.outcomes.items()},
        "method": to_plain(found.method),
    }
    write_whole(path, yaml.safe_dump(plain, sort_keys=False, width=120))


def read_calibration(path: Path) -> Calibration:
    """What such a file says.

    Raises:
        UserError: if it is not there, or is no calibration.
    """
    try:
        plain = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(plain, dict) or plain.get("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT!r}")
        if plain["protocol"] not in PROTOCOLS:
            raise ValueError(f"there is no protocol {plain['protocol']!r}")
        return Calibration(
            str(plain["dataset"]),
            str(plain["split"]),
            int(plain["pairs"]),
            int(plain["points"]),
            plain["protocol"],
            float(plain["alpha"]),
            from_plain(plain["method"]),
            {str(name): _outcome_from_plain(outcome) for name, outcome in plain["outcomes"].items()},
        )
    except OSError as error:
        raise UserError(f"Cannot read {path} ({error.strerror}): `sdcorr calibrate RUN` makes a calibration.") from None
    except (ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        why = str(error).partition("\n")[0]
        raise UserError(f"{path} is no whole calibration ({type(error).__name__}: {why}): make it again.") from None


def _outcome_to_plain(outcome: Outcome) -> dict[str, Any]:
    model = outcome.model
    columns = zip(model.names, model.mean, model.scale, model.weights, strict=True)
    return {
        **({"from": outcome.learned_from} if outcome.learned_from else {}),
        "share": _short(outcome.share),
        "on pairs not seen": {name: _short(value) for name, value in outcome.unseen.items()},
        "intercept": _short(model.intercept),
        "evidence": {
            name: {"mean": _short(mean), "scale": _short(scale), "weight": _short(weight)}
            for name, mean, scale, weight in columns
        },
    }


def _outcome_from_plain(plain: Mapping[str, Any]) -> Outcome:
    names = tuple(plain["evidence"])
    mean, scale, weights = (
        tuple(float(plain["evidence"][name][of]) for name in names) for of in ("mean", "scale", "weight")
    )
    unseen = {str(name): float(value) for name, value in plain["on pairs not seen"].items()}
    model = Logistic(names, mean, scale, weights, float(plain["intercept"]))
    return Outcome(model, float(plain["share"]), unseen, plain.get("from"))


def _short(value: float) -> float:
    """To six digits, which a reader can take in and no probability misses."""
    return float(f"{value:.6g}")
