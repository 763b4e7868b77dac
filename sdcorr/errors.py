"""The one exception that is meant for the user's eyes."""


class UserError(Exception):
    """A mistake that the user can mend: one sentence saying what is wrong, where, and what to do.

    `train.py` and `eval.py` print it without a traceback and exit with code 2.
    """
