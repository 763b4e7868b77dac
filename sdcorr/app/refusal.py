"""The exception by which the server refuses a request."""

from sdcorr.errors import UserError


class Refusal(UserError):
    """One sentence for the page to show, and the HTTP status that it is sent with."""

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.status = status
