"""Colors and random proportions: everything that varies between two drawings of a class comes from here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sdcorr.toybox.canvas import Canvas, Color, limb, oval, turn

COLORS: dict[str, Color] = {
    "red": (214, 52, 44),
    "orange": (238, 138, 40),
    "yellow": (244, 214, 60),
    "green": (72, 168, 76),
    "blue": (58, 104, 206),
    "purple": (138, 74, 178),
    "pink": (240, 146, 178),
    "brown": (132, 86, 50),
    "white": (244, 244, 238),
    "grey": (146, 148, 152),  # so spelled in the captions that the shipped model learned from
    "black": (38, 38, 44),
}
ANY = tuple(COLORS)
BRIGHT = ("red", "orange", "yellow", "green", "blue", "purple", "pink")
OFF_PALETTE = 0.1  # how often a part takes any color instead of one that is natural for it


def rgb(name: str) -> np.ndarray:
    """Return the color of that name, `(3,)` float64 in [0, 255]."""
    return np.array(COLORS[name], dtype=float)


def paler(color: np.ndarray, by: float) -> np.ndarray:
    """Move `color` toward white by a fraction in [0, 1]."""
    return color + (255 - color) * by


def to_color(values: np.ndarray) -> Color:
    """Clip and round `(3,)` values to a color that Pillow takes."""
    r, g, b = np.clip(values, 0, 255).astype(int).tolist()
    return r, g, b


@dataclass
class Paint:
    """Draws the random colors and proportions of one drawing."""

    canvas: Canvas
    rng: np.random.Generator

    def color(self, part: str, *natural: str) -> Color:
        """Choose the color of a part, mostly one of its `natural` ones, and note it for the caption."""
        name = str(self.rng.choice(ANY if self.rng.random() < OFF_PALETTE else natural))
        self.canvas.colors[part] = name
        return self.shade(name)

    def shade(self, name: str, by: float = 0.0) -> Color:
        """Vary the color called `name` a little, and make it lighter (`by` > 0) or darker (`by` < 0), up to +-1."""
        base = rgb(name) + self.rng.normal(0, 7, 3)
        return to_color(paler(base, by) if by > 0 else base * (1 + by))

    def near(self, value: float, spread: float) -> float:
        """Draw a proportion: uniform within `value` times (1 +- `spread`)."""
        return float(value * self.rng.uniform(1 - spread, 1 + spread))

    def angle(self, middle: float, spread: float) -> float:
        """Draw an angle in radians, uniform within `middle` +- `spread`."""
        return float(self.rng.uniform(middle - spread, middle + spread))

    def markings(self, part: str, center: complex, rx: float, ry: float, angle: float = 0.0) -> None:
        """Put spots or stripes on an oval part, in two drawings of three."""
        style = self.rng.integers(3)
        if style == 0:
            return
        tone = self.shade(self.canvas.colors[part], float(self.rng.choice([-0.3, 0.35])))
        for k in range(int(self.rng.integers(2, 5))):
            if style == 1:
                spot = self.rng.uniform(0.2, 0.6) * turn(self.rng.uniform(0, 2 * np.pi))
                radius = self.rng.uniform(0.1, 0.17) * min(rx, ry)
                place = center + turn(angle) * complex(rx * spot.real, ry * spot.imag)
                self.canvas.add(part, oval(place, radius, radius), tone, marking=True)
            else:
                x = -0.5 + 0.33 * k
                top = 0.75 * np.sqrt(1 - min(x * x, 0.99))
                stripe = limb(complex(rx * x, -ry * top), complex(rx * x, ry * top), 0.12 * rx)
                self.canvas.add(part, center + turn(angle) * stripe, tone, marking=True)
