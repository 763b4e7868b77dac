"""A network that is damaged, or whose numbers grow too large for its precision, gives NaN: nothing is made of that."""

from collections.abc import Iterable

from torch import Tensor

from sdcorr.errors import UserError


class NotFinite(UserError):
    """A network makes NaN or infinity of a picture. It is no result, and is kept nowhere.

    Attributes:
        image: key of the picture; None if who noticed does not know it.
    """

    def __init__(self, message: str, image: str | None = None) -> None:
        super().__init__(message)
        self.image = image


def not_finite(what: str, precision: str = "fp32", image: str | None = None) -> NotFinite:
    """The error that says what is NaN or infinite and why that may be.

    Args:
        what: a subject and its verb, "The features of cat.png are".
        precision: in which the network computes.
        image: key of the picture.
    """
    why = "the weights are damaged or do not belong to the model's configuration"
    if precision == "fp32":
        return NotFinite(f"{what} NaN or infinite: {why}. Load the weights anew.", image)
    return NotFinite(
        f"{what} NaN or infinite: numbers grow too large for {precision}, or {why}. Give model.precision=fp32, or load "
        "the weights anew.",
        image,
    )


def check_finite(values: Iterable[Tensor], what: str, precision: str = "fp32", image: str | None = None) -> None:
    """Looks at what a network has made of a picture; the other arguments are those of `not_finite`.

    Raises:
        NotFinite: if a number is NaN or infinite.
    """
    if not all(each.isfinite().all() for each in values):
        raise not_finite(what, precision, image)


def check_weights(tensors: Iterable[tuple[str, Tensor]], where: str) -> None:
    """Looks at weights as a network is to use them, so that a damaged one is not found picture by picture.

    Args:
        tensors: names and weights.
        where: they were read from.

    Raises:
        UserError: naming the first that holds NaN or infinity.
    """
    for name, tensor in tensors:
        if not tensor.sum().isfinite():  # twenty times as quick as to look at each
            raise UserError(
                f"The weights in {where} hold NaN or infinity, {name} for one: they are damaged, or were saved with "
                "too few digits, so fetch or save them again."
            )
