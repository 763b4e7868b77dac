"""What a pass through the joint layers is for: maps, a picture read once, or text alone against such a picture."""

from collections.abc import Collection, Mapping

from torch import Tensor

from sdcorr.diffusion.attention import Heads, choose_heads
from sdcorr.diffusion.joint.attention import (
    JointPass,
    TokenOrder,
    image_share,
    joint_column,
    square,
    text_column,
)
from sdcorr.diffusion.precision import Float32Mode

Pair = tuple[Tensor, Tensor]


class MapPass(JointPass):
    """Reads the maps of one text token.

    Attributes:
        maps: layer -> (B, heads, n, n).
    """

    def __init__(
        self, layers: Collection[str], order: TokenOrder, token: int, heads: Heads, float32: Float32Mode
    ) -> None:
        self._layers, self._order, self._token, self._float32 = layers, order, token, float32
        self._heads: Heads = heads
        self.maps: dict[str, Tensor] = {}

    def see(self, layer: str, query: Tensor, key: Tensor) -> None:
        """Keep the token's column of the softmax."""
        if layer not in self._layers:
            return
        chosen, length = choose_heads(self._heads, key.shape[1]), key.shape[2]
        query = self._float32.way_out(query)[:, chosen, self._order.image(length)]
        key = self._float32.way_out(key)[:, chosen]
        self.maps[layer] = square(joint_column(query, key, self._order.text(length).start + self._token))


class ImagePass(JointPass):
    """Reads the picture's side of every layer.

    Attributes:
        read: layer that is read -> attention queries (B, heads, N, d), the image's share of the softmax (B, heads, N).
        seen: layer -> keys and values of the image, (B, all heads, N, d) each; not for the last layer.
    """

    def __init__(self, layers: Collection[str], order: TokenOrder, heads: Heads) -> None:
        self._layers, self._order = layers, order
        self._heads: Heads = heads
        self.read: dict[str, Pair] = {}
        self.seen: dict[str, Pair] = {}

    def see(self, layer: str, query: Tensor, key: Tensor) -> None:
        """Keep the image's queries, and what its keys put into the softmax."""
        if layer not in self._layers:
            return
        chosen, image = choose_heads(self._heads, key.shape[1]), self._order.image(key.shape[2])
        query = query[:, chosen, image].contiguous()  # a view would hold on to all heads and tokens
        self.read[layer] = query, image_share(query, key[:, chosen, image])

    def extend(self, layer: str, key: Tensor, value: Tensor) -> Pair:
        """Keep the image's keys and values."""
        image = self._order.image(key.shape[2])
        self.seen[layer] = key[:, :, image].contiguous(), value[:, :, image].contiguous()
        return key, value


class TextPass(JointPass):
    """Reads the maps of one text token while only text goes through the transformer.

    Attributes:
        maps: layer -> (B, heads, n, n).
    """

    def __init__(
        self,
        read: Mapping[str, Pair],
        seen: Mapping[str, Pair],
        order: TokenOrder,
        token: int,
        heads: Heads,
        float32: Float32Mode,
    ) -> None:
        """
        Args:
            read, seen: of an `ImagePass`, with one row for each embedding, or with one for all.
            order: of the tokens.
            token: index of the text token.
            heads: those of the `ImagePass`.
            float32: of the model.
        """
        self._read, self._seen, self._order = read, seen, order
        self._token, self._float32 = token, float32
        self._heads: Heads = heads
        self.maps: dict[str, Tensor] = {}

    def see(self, layer: str, query: Tensor, key: Tensor) -> None:
        """Keep the token's column of the softmax over the image that was read and this text."""
        if layer not in self._read:
            return
        image_query, share = self._read[layer]
        key = self._float32.way_out(key)[:, choose_heads(self._heads, key.shape[1])]
        self.maps[layer] = square(text_column(image_query, key, share, self._token))

    def extend(self, layer: str, key: Tensor, value: Tensor) -> Pair:
        """Let the text attend to the image that was read, too."""
        image_key, image_value = (part.expand(len(key), -1, -1, -1) for part in self._seen[layer])
        return self._order.join(image_key, key), self._order.join(image_value, value)
