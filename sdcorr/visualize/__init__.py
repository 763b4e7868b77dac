"""All figures, as functions that return a matplotlib figure or an image array."""

from sdcorr.visualize.charts import bars, curve, reliability
from sdcorr.visualize.method import crops, heats
from sdcorr.visualize.overlays import color, heat, idea, layers, mark, matches, matches_with_heat, sheet, show, words
from sdcorr.visualize.render import to_array, to_svg
from sdcorr.visualize.tiles import attention, dotted

__all__ = [
    "attention",
    "bars",
    "color",
    "crops",
    "curve",
    "dotted",
    "heat",
    "heats",
    "idea",
    "layers",
    "mark",
    "matches",
    "matches_with_heat",
    "reliability",
    "sheet",
    "show",
    "to_array",
    "to_svg",
    "words",
]
