"""What a run folder is of: what the run is, which pairs it has, and what made the records of each method.

    <run_dir>/config.yaml                         what the run is; any other is refused
    <run_dir>/pairs.json                          which pairs it is of, with which pictures (`pairs`)
    <run_dir>/methods.json                        what the last evaluation ran, the subject first
    <run_dir>/predictions/<method>/claim.yaml     what made the method's records; any other is refused (`claims`)
    <run_dir>/predictions/<method>/<unit>.json    one record a source image, with all its targets (`records`)
    <run_dir>/maps/<method>/<unit>.npz            the maps behind its matches, to look at (`attention_maps`)
    <run_dir>/broken.json                         the pairs that have no prediction, and why (`missing`)
    <run_dir>/summary.json                        the scores (`sdcorr.scoring.score`)
    <run_dir>/report.html                         all of it to look at (`sdcorr.report`)

Every file appears whole or not at all: it is written under another name and renamed. A process may be killed
at any moment and any number of processes may write into one folder; the next run predicts what is missing.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from sdcorr.datasets import Benchmark
from sdcorr.errors import UserError
from sdcorr.files import write_whole
from sdcorr.methods.base import Claim
from sdcorr.run.claims import IMPORTED, differences, from_plain, to_plain, told
from sdcorr.run.pairs import RunPairs
from sdcorr.run.records import read_record

NOT_WHOLE = (AttributeError, KeyError, TypeError, ValueError)  # what reading a damaged file raises


class RunFolder:
    """A run folder without its records.

    Who predicts says first what the run is (`claim_run`) and what each method is (`claim`). That is checked at once;
    it is written by `begin`, right before a method's first record, so that what cannot begin leaves nothing behind.
    A claim without records protects nothing: another one takes its place.

    Args:
        run_dir: the folder; it is made when something is written.
    """

    def __init__(self, run_dir: str | Path) -> None:
        self.run_dir = Path(run_dir)
        self._config: dict[str, Any] | None = None  # what this process says
        self._claims: dict[str, dict[str, Any]] = {}  # likewise, of each method
        self._begun: dict[str, bytes] = {}  # method -> its claim.yaml as `begin` left it
        self._pairs: RunPairs | None = None

    def claim_run(self, config: Mapping[str, Any], benchmark: Benchmark) -> None:
        """Says what the run is, and checks that the folder has no records of another.

        Args:
            config: plain nested values: what the run is, such as the name and the split of its data set. What decides a
                method's predictions belongs to the method's claim; pairs and pictures are the benchmark's.
            benchmark: its pairs and pictures are, as they are now, those of the run. Every picture is read.

        Raises:
            UserError: naming the keys that differ from those that the folder was made with, or if the folder holds
                predictions of another data set and does not say what was asked for.
        """
        self._config = json.loads(json.dumps(config))  # what a file can hold
        self._pairs = RunPairs.of(benchmark)
        self._check_run()

    def claim(self, method: str, claim: Claim) -> None:
        """Says what a method is, and checks that the folder has no records of it that were made otherwise.

        Args:
            method: what it is called here.
            claim: all that decides its predictions.

        Raises:
            UserError: saying what differs, or that nobody knows what made the records, and what to do.
        """
        self._claims[method] = to_plain(claim)
        self._check_method(method)

    def begin(self, method: str) -> None:
        """Writes what the run and the method are, before the method's first record; all is checked once more.

        Raises:
            UserError: if the folder has got other records meanwhile, or cannot be written.
            ValueError: if the run or the method was not claimed.
        """
        if self._config is None or method not in self._claims:
            raise ValueError(f"claim_run and claim({method!r}, ...) come before its records")
        self._check_run()
        self._check_method(method)
        _write_if_new(self.run_dir / "config.yaml", yaml.safe_dump(self._config, sort_keys=False))
        _write_if_new(self.run_dir / "pairs.json", self.pairs.to_text())
        claim = yaml.safe_dump(self._claims[method], sort_keys=False)
        _write_if_new(self.claim_path(method), claim)
        self._begun[method] = claim.encode()

    def config(self) -> dict[str, Any]:
        """What the run is.

        Raises:
            UserError: if the folder has no run or its config.yaml cannot be read.
        """
        path = self.run_dir / "config.yaml"
        try:
            config = yaml.safe_load(path.read_text())
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(
                f"There is no run in {self.run_dir}, for it has no config.yaml: name another folder, or predict first."
            ) from None
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise _damaged(path) from error
        if not isinstance(config, dict):
            raise _damaged(path)
        return config

    @property
    def pairs(self) -> RunPairs:
        """The pairs of the run: those of `claim_run`, else those of the last evaluation.

        Raises:
            UserError: if the folder does not say.
        """
        if self._pairs is None:
            path = self.run_dir / "pairs.json"
            try:
                self._pairs = RunPairs.from_text(path.read_bytes())
            except (OSError, *NOT_WHOLE) as error:
                raise UserError(
                    f"{path} cannot be read ({error}), so nobody knows which pairs the run is of: run the same "
                    "evaluation again, which writes it and predicts only what is missing."
                ) from None
        return self._pairs

    def note_methods(self, methods: Sequence[str]) -> None:
        """Writes down what an evaluation runs, the subject first."""
        _write_if_new(self.run_dir / "methods.json", json.dumps(list(methods)) + "\n")

    def noted_methods(self) -> list[str]:
        """What the last evaluation ran, the subject first; none if the folder does not say."""
        try:
            return [str(name) for name in json.loads((self.run_dir / "methods.json").read_bytes())]
        except (OSError, *NOT_WHOLE):
            return []

    def claim_of(self, method: str) -> Claim:
        """What made a method's records.

        Raises:
            UserError: if the folder does not say.
        """
        return from_plain(self.stored_claim(method))

    def imported(self) -> list[str]:
        """The methods whose predictions came from a file, sorted by name; raises what `claim_of` raises."""
        return [name for name in self.recorded() if self.claim_of(name).kind == IMPORTED]

    def claim_path(self, method: str) -> Path:
        """Where the claim on a method's records is kept."""
        return self.run_dir / "predictions" / method / "claim.yaml"

    def stored_claim(self, method: str) -> dict[str, Any]:
        """The claim on a method's records as plain values; raises what `claim_of` raises."""
        path = self.claim_path(method)
        try:
            plain = yaml.safe_load(path.read_text())
            from_plain(plain)
        except FileNotFoundError:
            raise UserError(
                f"{self.run_dir} does not say what made its predictions of {method}, for {path.name} is not beside "
                f"them (an older version of sdcorr wrote none): {self._ways_out(method)}."
            ) from None
        except (OSError, yaml.YAMLError, *NOT_WHOLE) as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"{path} cannot be read ({reason}), so nobody knows what made the predictions of {method}: "
                f"{self._ways_out(method)}."
            ) from None
        return plain

    def recorded(self) -> list[str]:
        """The methods that have record files, whatever is in them, sorted by name."""
        return sorted({path.parent.name for path in _records_below(self.run_dir, "*")})

    def files(self, method: str) -> list[Path]:
        """The record files of a method, sorted by name."""
        return sorted(_records_below(self.run_dir, method))

    def check_begun(self, method: str) -> None:
        """Looks whether the folder is still what `begin` made of it.

        Raises:
            UserError: if it has gone, or the method's records are someone else's now.
        """
        if not (self.run_dir / "config.yaml").exists():
            raise UserError(
                f"{self.run_dir} has gone while predictions were being written there: bring it back and run the same "
                "command again, which goes on where it stopped, or choose another run folder."
            )
        path = self.claim_path(method)
        if not path.exists() or path.read_bytes() != self._begun[method]:
            raise UserError(
                f"The predictions of {method} in {self.run_dir} were forgotten, or begun otherwise, while this "
                "evaluation was at work on them: run the same command again, which goes on with what is there."
            )

    def _check_run(self) -> None:
        if not self.recorded():  # looked at first, for another rank writes config.yaml before its first record
            return
        try:
            stored = self.config()
        except UserError as error:  # `begin` writes it anew if the records are of what is asked for
            if (origins := self._origins()) == {(self.pairs.dataset, self.pairs.split)}:
                return
            known = " and ".join(sorted(" ".join(each) for each in origins)) or "nobody knows what"
            raise UserError(
                f"{self.run_dir} holds predictions of {known}, and no config.yaml that can be read: run the evaluation "
                "that made them again, which writes it anew and keeps them, or choose another run folder."
            ) from error
        if list(differences(stored, self._config)):
            raise UserError(
                f"{self.run_dir} is another run ({told(stored, self._config)}): choose another run folder, or delete "
                "this one."
            )

    def _origins(self) -> set[tuple[str, str]]:
        """The data sets and splits of the records that can be read."""
        found = set()
        for path in _records_below(self.run_dir, "*"):
            with suppress(OSError, *NOT_WHOLE):
                record = read_record(path.read_bytes())
                found.add((record.dataset, record.split))
        return found

    def _check_method(self, method: str) -> None:
        if not self.files(method):  # likewise
            return
        stored, said = self.stored_claim(method), self._claims[method]
        if list(differences(stored, said)):
            raise UserError(
                f"The predictions of {method} in {self.run_dir} were made with something else ({told(stored, said)}): "
                f"{self._ways_out(method)}, or go back to what made them."
            )

    def _ways_out(self, method: str) -> str:
        command = shlex.join(["sdcorr", "redo", str(self.run_dir), "--method", method])
        return f"forget them with `{command}`, choose another run_dir"


def _damaged(path: Path) -> UserError:
    return UserError(
        f"{path} cannot be read, so nobody knows what was asked for: run the same evaluation again, with "
        f"run_dir={path.parent}, which writes it anew and predicts only what is missing."
    )


def _records_below(run_dir: Path, method: str) -> list[Path]:
    """Record files; what systems put beside them (`._name.json`) is none."""
    return [path for path in run_dir.glob(f"predictions/{method}/*.json") if not path.name.startswith(".")]


def _write_if_new(path: Path, text: str) -> None:
    if not path.exists() or path.read_bytes() != text.encode():
        write_whole(path, text)
