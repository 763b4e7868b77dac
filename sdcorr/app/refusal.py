"""What the server says to what it does not do."""

from sdcorr.errors import UserError


class Refusal(UserError):
    """One sentence that the page shows, with the HTTP status that it comes with."""

    def __init__(self, sentence: str, status: int = 400):
        super().__init__(sentence)
        self.status = status
