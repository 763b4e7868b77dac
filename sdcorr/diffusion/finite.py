"""A network that is damaged, or whose numbers grow too large for its precision, gives NaN: nothing is made of that."""

from sdcorr.errors import UserError


def not_finite(what: str) -> UserError:
    """The error that says what is NaN or infinite and why that may be; `what` is a subject and its verb."""
    return UserError(
        f"{what} NaN or infinite: the weights are damaged or do not belong to the model's configuration, or numbers "
        "grow too large for its precision. Load the weights anew, or give model.precision=fp32."
    )
