"""The exception whose message is written for the user."""


class UserError(Exception):
    """A mistake that the user can correct, in one sentence: what is wrong, where, and what to do.

    The commands print it without a traceback and exit with code 2.
    """
