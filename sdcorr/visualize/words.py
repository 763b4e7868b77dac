"""Words of the data and of the user in figures: written as they are, whatever they mean to matplotlib."""

LONGEST = 36  # characters of a name in a chart


def plain(text: str) -> str:
    r"""A text whose dollars do not begin a formula.

    >>> print(plain("cost$1_$2"))
    cost\$1_\$2
    """
    return text.replace("$", r"\$")


def label(name: str) -> str:
    """A name for a legend or an axis: short enough to leave room for the chart, and shown even if it begins with `_`.

    >>> label("_tail").endswith("_tail"), len(label(100 * "a"))
    (True, 36)
    """
    short = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
    hidden = short.startswith("_")  # which matplotlib leaves out of legends
    return plain(f"\N{ZERO WIDTH SPACE}{short}" if hidden else short)
