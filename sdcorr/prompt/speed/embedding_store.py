"""Optimized prompt embeddings on disk, so that nothing is optimized twice.

    <root>/<determinants>/config.yaml                 what the embeddings depend on, besides picture and query
    <root>/<determinants>/<source image>.safetensors  all that were optimized on one source image

<determinants> is a digest of config.yaml's content, so other settings look into another folder. A file holds

    embeddings (n, T, D) float32
    queries    (n, 3) float64: x, y of the query point in pixels of the source image, number of the restart

and in its metadata `image`, the image's key, and `picture`, the digest of its pixels. Every file appears whole or not
at all. Any number of processes may write: of two that save the same image at the same moment, the last one wins, and
what the other had found is optimized again when it is next asked for.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from sdcorr.datasets.base import unit_name
from sdcorr.errors import UserError
from sdcorr.files import write_whole
from sdcorr.images import picture_digest
from sdcorr.prompt.randomness import Query

FORMAT = "sdcorr embeddings 1"

_Key = tuple[float, float, float]  # x, y, restart


class EmbeddingStore:
    """The embeddings that were optimized under one set of determinants."""

    def __init__(self, root: Path, determinants: Mapping[str, Any]) -> None:
        """
        Args:
            root: the folder of all sets; it is made when something is written.
            determinants: plain nested values: everything but picture and query that an embedding depends on.
        """
        canonical = json.dumps(determinants, sort_keys=True, separators=(",", ":"))
        self.folder = Path(root) / hashlib.sha256(canonical.encode()).hexdigest()[:12]
        self._determinants = json.loads(canonical)  # what a file can hold
        self.found = 0  # embeddings that `recall` found so far

    def recall(self, pixels: Tensor, queries: Sequence[Query], optimize: Callable[[Sequence[Query]], Tensor]) -> Tensor:
        """Embeddings: those that are there, and the others optimized and kept.

        Args:
            pixels: of the source image, a CPU tensor.
            queries: Q queries of that image, which name no target.
            optimize: gives the embeddings of some queries, (some, T, D).

        Returns:
            (Q, T, D) float32 on the CPU, in the order of the queries.

        Raises:
            UserError: from `load`, `save` or `optimize`.
        """
        image_key, picture = queries[0].image, picture_digest(pixels)
        known = self.load(image_key, picture, queries)
        self.found += len(known)
        if wanted := [query for query in queries if query not in known]:
            found = optimize(wanted)
            self.save(image_key, picture, wanted, found)
            known |= dict(zip(wanted, found.cpu(), strict=True))
        return torch.stack([known[query] for query in queries])

    def load(self, image_key: str, picture: str, queries: Sequence[Query]) -> dict[Query, Tensor]:
        """The embeddings that are there and finite: no other is kept, and one of another hand is optimized anew.

        Args:
            image_key: key of the source image.
            picture: digest of its pixels; a file of another picture counts as absent, as does a damaged one.
            queries: whose embeddings are wanted; they name no target.

        Returns:
            Query -> (T, D) float32 on the CPU, for those of the queries that are there.

        Raises:
            UserError: if the folder was made with other determinants or cannot be read.
        """
        if not self._is_claimed():
            return {}
        known = self._read(image_key, picture)
        return {query: known[_key(query)].clone() for query in queries if _key(query) in known}

    def known(self, image_key: str, queries: Sequence[Query]) -> int:
        """How many of a source image's queries are there, unless its picture has changed; nothing is read but that.

        Raises:
            UserError: as `load`.
        """
        if not self._is_claimed():
            return 0
        try:
            with safe_open(self._path(image_key), framework="pt") as file:
                there = set(map(tuple, file.get_tensor("queries").tolist()))
        except (OSError, SafetensorError):
            return 0
        return sum(_key(query) in there for query in queries)

    def save(self, image_key: str, picture: str, queries: Sequence[Query], embeddings: Tensor) -> None:
        """Adds embeddings to those that are there, over older ones of the same queries.

        Args:
            image_key: key of the source image.
            picture: digest of its pixels.
            queries: Q queries, which name no target.
            embeddings: (Q, T, D), one a query.

        Raises:
            UserError: if the folder was made with other determinants, the disk is full or it cannot be written.
            ValueError: if a number is NaN or infinite.
        """
        if not embeddings.isfinite().all():
            raise ValueError("an embedding that is NaN or infinite is not to be kept")
        new = dict(zip(map(_key, queries), embeddings.detach().to("cpu", torch.float32), strict=True))
        if not self._is_claimed():
            write_whole(self.folder / "config.yaml", yaml.safe_dump(self._determinants, sort_keys=False))
            known = {}
        else:
            known = self._read(image_key, picture)
        merged = {key: row for key, row in known.items() if row.shape == embeddings.shape[1:]} | new
        if merged:
            tensors = {
                "embeddings": torch.stack(list(merged.values())),
                "queries": torch.tensor(list(merged), dtype=torch.float64),
            }
            metadata = {"format": FORMAT, "image": image_key, "picture": picture}
            write_whole(self._path(image_key), save(tensors, metadata=metadata))

    def _is_claimed(self) -> bool:
        """Whether the folder holds the embeddings of these determinants; False if it holds none yet."""
        path = self.folder / "config.yaml"
        try:
            stored = yaml.safe_load(path.read_text())
        except FileNotFoundError:
            return False
        except OSError as error:
            raise UserError(
                f"Cannot read {path} ({error.strerror}): mend its permissions, or keep embeddings elsewhere with "
                "embeddings=FOLDER."
            ) from error
        except (ValueError, yaml.YAMLError):
            stored = None
        if stored != self._determinants:
            raise UserError(
                f"{path} does not say what this run's embeddings are made with, though the folder's name does: delete "
                "the folder, and they are optimized again."
            )
        return True

    def _path(self, image_key: str) -> Path:
        return self.folder / f"{unit_name(image_key)}.safetensors"

    def _read(self, image_key: str, picture: str) -> dict[_Key, Tensor]:
        """All embeddings of a picture; none if its file is not there, damaged, or of another picture."""
        try:
            with safe_open(self._path(image_key), framework="pt") as file:
                if file.metadata() != {"format": FORMAT, "image": image_key, "picture": picture}:
                    return {}
                embeddings, queries = file.get_tensor("embeddings"), file.get_tensor("queries")
        except (OSError, SafetensorError):
            return {}
        if embeddings.dtype != torch.float32 or embeddings.dim() != 3 or queries.shape != (len(embeddings), 3):
            return {}
        finite = embeddings.isfinite().flatten(1).all(1)
        return dict(zip(map(tuple, queries[finite].tolist()), embeddings[finite], strict=True))


def _key(query: Query) -> _Key:
    if query.target is not None:
        raise ValueError(f"{query} names a target, of which an embedding does not know")
    return query.x, query.y, float(query.restart)
