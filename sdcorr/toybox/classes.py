"""The classes of objects in the toybox. Each is one small function that draws the object on a canvas.

To add one: write a function that takes `(canvas, paint)`, decorate it with `@thing(kind, look_alikes=...)`, and train
the model again. `paint` gives out colors and random proportions; the caption names every part that was given a color by
name. Side views face right; the world mirrors half of them. `look_alikes` lists the keypoints whose part resembles
another part of the same object (left and right, front and rear).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from sdcorr.toybox.canvas import Canvas, limb, oval, turn
from sdcorr.toybox.palette import BRIGHT, Paint

Draw = Callable[[Canvas, Paint], None]


@dataclass(frozen=True)
class Thing:
    """A class of the toybox."""

    name: str
    kind: str  # animal, vehicle or household
    draw: Draw
    look_alikes: frozenset[str]  # names of keypoints
    side_view: bool  # the world may mirror it, and the caption says which way it faces


THINGS: dict[str, Thing] = {}  # in the order of this file


def thing(kind: str, look_alikes: tuple[str, ...] = (), side_view: bool = True) -> Callable[[Draw], Draw]:
    """Register a drawing function as a class, under the function's name.

    Args:
        kind: animal, vehicle or household.
        look_alikes: keypoints whose part resembles another part of the same object.
        side_view: whether it faces right as drawn, so that the world may mirror it.
    """

    def enter(draw: Draw) -> Draw:
        THINGS[draw.__name__] = Thing(draw.__name__, kind, draw, frozenset(look_alikes), side_view)
        return draw

    return enter


def _eye(c: Canvas, p: Paint, name: str, center: complex, radius: float) -> None:
    c.add(name, oval(center, radius, radius), p.color(name, "white"))
    c.add(name, oval(center, 0.55 * radius, 0.55 * radius), p.shade("black"))
    c.keypoint(name, center, name)


@thing("animal", look_alikes=("front foot", "back foot"))
def bird(c: Canvas, p: Paint) -> None:
    """Draw a bird whose body leans, whose tail and wing swing, and which looks about."""
    lean = p.angle(-0.25, 0.3)
    rx, ry = p.near(0.62, 0.15), p.near(0.42, 0.15)
    along = turn(lean)
    feet = p.color("feet", "orange", "yellow", "brown")
    hip = along * complex(-0.05, 0.6 * ry)
    for name, x, swing in (("back foot", -0.16, 0.35), ("front foot", 0.14, -0.1)):
        ankle = hip + x + p.near(0.5, 0.2) * turn(np.pi / 2 + p.angle(swing, 0.4))
        toe = ankle + p.near(0.2, 0.2)
        c.add("feet", limb(hip + x, ankle, 0.09), feet)
        c.add("feet", limb(ankle - 0.08, toe, 0.11), feet)
        c.keypoint(name, ankle + 0.03, "feet")
    tail = p.angle(np.pi + lean, 0.45)
    root = along * complex(-0.8 * rx, 0)
    tip = root + p.near(0.62, 0.25) * turn(tail)
    c.add("tail", limb(root, tip, 0.16, p.near(0.36, 0.3)), p.color("tail", *BRIGHT))
    c.keypoint("tail", root + 0.8 * (tip - root), "tail")
    c.add("body", oval(0, rx, ry, lean), p.color("body", *BRIGHT, "brown", "grey", "white"))
    p.markings("body", 0, rx, ry, lean)
    head = along * complex(0.78 * rx, -0.7 * ry) + p.near(0.2, 0.5) * turn(p.angle(-1.1, 0.5))
    r = p.near(0.28, 0.12)
    look = p.angle(lean * 0.5, 0.35)
    beak = head + r * 0.7 * turn(look)
    end = beak + p.near(0.42, 0.3) * turn(look + 0.1)
    c.add("beak", limb(beak, end, 0.26, 0.04), p.color("beak", "yellow", "orange"))
    c.keypoint("beak", beak + 0.62 * (end - beak), "beak")
    c.add("head", oval(head, r, r), p.color("head", *BRIGHT, "white", "black"))
    _eye(c, p, "eye", head + 0.32 * r * turn(look - 0.8), 0.12)
    flap = p.angle(np.pi + lean - 0.5, 0.9)
    shoulder = along * complex(0.2 * rx, -0.1 * ry)
    span = p.near(0.62, 0.2)
    feathers = oval(shoulder + 0.5 * span * turn(flap), 0.56 * span, 0.2, flap)
    c.add("wing", feathers, p.color("wing", *BRIGHT, "black"))
    c.keypoint("wing", shoulder + 0.8 * span * turn(flap), "wing")


@thing("animal", look_alikes=("back fin", "belly fin"))
def fish(c: Canvas, p: Paint) -> None:
    """Draw a fish whose tail wags and whose fins slant."""
    rx, ry = p.near(0.72, 0.12), p.near(0.4, 0.25)
    wag = p.angle(np.pi, 0.45)
    fins = p.color("fins", *BRIGHT)
    root = complex(-0.82 * rx, 0)
    for side in (-1, 1):
        tip = root + p.near(0.5, 0.2) * turn(wag + side * p.near(0.55, 0.25))
        c.add("tail", np.array([root + 0.12, tip, root + 0.22 * turn(wag)]), fins)
    c.keypoint("tail", root + 0.14 * turn(wag), "tail")
    for name, side in (("back fin", -1), ("belly fin", 1)):
        x = p.angle(0.0, 0.18)
        base = complex(x * rx, side * 0.85 * ry)
        tip = base + p.near(0.42, 0.25) * turn(side * np.pi / 2 + side * p.angle(0.55, 0.3))
        c.add("fins", np.array([base + 0.24, tip, base - 0.2 - side * 0.05j]), fins)
        c.keypoint(name, base + 0.45 * (tip - base), "fins")
    c.add("body", oval(0, rx, ry), p.color("body", *BRIGHT, "grey", "white"))
    p.markings("body", complex(-0.1, 0), 0.8 * rx, ry)
    mouth = complex(rx * 0.94, p.near(0.1, 0.6) * ry)
    c.add("mouth", oval(mouth, 0.13, 0.1), p.color("mouth", "pink", "red"))
    c.keypoint("mouth", mouth, "mouth")
    _eye(c, p, "eye", complex(p.near(0.58, 0.12) * rx, -p.near(0.25, 0.3) * ry), 0.14)
    flap = p.angle(2.6, 0.6)
    base = 0.05 + 0.05j
    c.add("side fin", limb(base, base + p.near(0.36, 0.2) * turn(flap), 0.1, 0.26), p.color("side fin", *BRIGHT))
    c.keypoint("side fin", base + 0.26 * turn(flap), "side fin")


@thing("animal", look_alikes=("left ear", "right ear", "left eye", "right eye"), side_view=False)
def cat(c: Canvas, p: Paint) -> None:
    """Draw the head of a cat, turned a little to one side."""
    rx, ry = p.near(0.72, 0.15), p.near(0.62, 0.12)
    yaw = p.angle(0, 0.26)  # the face turns: everything on it moves to one side
    fur = p.color("fur", "orange", "grey", "black", "white", "brown")
    for name, side in (("left ear", -1), ("right ear", 1)):
        base = turn(-np.pi / 2 + side * p.angle(0.75, 0.12)) * 0.92
        base = complex(base.real * rx, base.imag * ry) - 0.3 * yaw
        tip = base + p.near(0.46, 0.25) * turn(-np.pi / 2 + side * p.angle(0.35, 0.45))
        across = 1j * (tip - base) / abs(tip - base)
        c.add(name, np.array([base + 0.27 * across, tip, base - 0.27 * across]), p.color(name, "pink", "brown"))
        c.keypoint(name, base + 0.5 * (tip - base), name)
    c.add("fur", oval(0, rx, ry), fur)
    p.markings("fur", complex(0, -0.3 * ry), 0.7 * rx, 0.5 * ry)
    for name, side in (("left eye", -1), ("right eye", 1)):
        center = complex(side * p.near(0.42, 0.12) * rx + yaw, -p.near(0.16, 0.3) * ry)
        r = p.near(0.14, 0.12)
        c.add(name, oval(center, r, r), p.color(name, "green", "yellow"))
        c.add(name, oval(center, 0.4 * r, 0.75 * r), p.shade("black"))
        c.keypoint(name, center, name)
    muzzle = complex(1.35 * yaw, p.near(0.42, 0.15) * ry)
    c.add("muzzle", oval(muzzle, 0.26, 0.2), p.color("muzzle", "white"))
    c.keypoint("chin", muzzle + 0.13j, "muzzle")
    nose = muzzle - 0.13j
    c.add("nose", nose + np.array([-0.12 - 0.06j, 0.12 - 0.06j, 0.1j]), p.color("nose", "pink", "red"))
    c.keypoint("nose", nose, "nose")


@thing(
    "animal",
    look_alikes=("left claw", "right claw", "left eye", "right eye", "left foot", "right foot"),
    side_view=False,
)
def crab(c: Canvas, p: Paint) -> None:
    """Draw a crab with bent legs, raised claws and eyes on stalks."""
    rx, ry = p.near(0.56, 0.12), p.near(0.36, 0.15)
    shell = p.color("shell", "red", "orange", "purple")
    limbs = p.shade(c.colors["shell"], -0.25)
    for name, side in (("left foot", -1), ("right foot", 1)):
        shin = 0j  # middle of the lower leg
        for k, spread in enumerate((0.15, 0.6)):
            hip = complex(side * rx * (0.85 - 0.25 * k), (0.25 + 0.4 * k) * ry)
            knee = hip + side * p.near(0.26, 0.2) * turn(side * p.angle(spread, 0.15))
            foot = knee + p.near(0.26, 0.2) * turn(np.pi / 2 - side * p.angle(0.1, 0.25))
            c.add("legs", limb(hip, knee, 0.11), limbs)
            c.add("legs", limb(knee, foot, 0.11, 0.06), limbs)
            shin = knee + 0.5 * (foot - knee)
        c.keypoint(name, shin, "legs")
    for name, side in (("left claw", -1), ("right claw", 1)):
        shoulder = complex(side * 0.8 * rx, -0.3 * ry)
        elbow = shoulder + p.near(0.36, 0.2) * turn(-np.pi / 2 + side * p.angle(1.15, 0.4))
        reach = -np.pi / 2 + side * p.angle(0.15, 0.75)
        hand = elbow + 0.26 * turn(reach)
        c.add("legs", limb(shoulder, elbow, 0.13), limbs)
        c.add(name, oval(hand, 0.28, 0.19, reach), p.color(name, c.colors["shell"]))
        for jaw in (-0.42, 0.42):
            c.add(name, limb(hand, hand + 0.42 * turn(reach + jaw), 0.16, 0.05), p.shade(c.colors[name]))
        c.keypoint(name, hand, name)
    for name, side in (("left eye", -1), ("right eye", 1)):
        root = complex(side * 0.35 * rx, -0.7 * ry)
        top = root + p.near(0.32, 0.2) * turn(-np.pi / 2 + side * p.angle(0.15, 0.35))
        c.add("legs", limb(root, top, 0.09), limbs)
        _eye(c, p, name, top, 0.13)
    c.add("shell", oval(0, rx, ry), shell)
    p.markings("shell", complex(0, -0.25 * ry), 0.8 * rx, 0.55 * ry)
    mouth = complex(p.angle(0, 0.1), 0.5 * ry)
    c.add("mouth", oval(mouth, 0.17, 0.08), p.color("mouth", "black", "white"))
    c.keypoint("mouth", mouth, "mouth")


@thing("vehicle", look_alikes=("front wheel", "rear wheel"))
def car(c: Canvas, p: Paint) -> None:
    """Draw a car whose roof, hood and wheelbase vary."""
    length, height = p.near(0.9, 0.1), p.near(0.3, 0.2)
    body = p.color("body", *BRIGHT, "white", "grey")
    roof = -height - p.near(0.38, 0.2)
    front, back = p.near(0.4, 0.25) * length, -p.near(0.62, 0.25) * length
    slope = p.near(0.24, 0.4)
    cabin = [back - 1j * height, back + 0.12 + 1j * roof, front - slope + 1j * roof, front - 1j * height]
    c.add("body", np.array(cabin), body)
    glass = [
        back + 0.12 - 1j * height,
        back + 0.2 + 1j * (roof + 0.1),
        front - slope - 0.03 + 1j * (roof + 0.1),
        front - 0.1 - 1j * height,
    ]
    c.add("window", np.array(glass), p.color("window", "white", "blue"))
    c.keypoint("window", complex(np.mean(glass)), "window")
    hood = p.near(0.1, 0.6)
    outline = [
        -length - 1j * height,
        front - 1j * height,
        length - 0.05 - 1j * (height - hood),
        length + 0.2j,
        -length + 0.2j,
    ]
    c.add("body", np.array(outline), body)
    nose = length - 0.08 - 1j * (height - hood - 0.13)
    c.add("headlight", oval(nose, 0.12, 0.1), p.color("headlight", "yellow", "white"))
    c.keypoint("headlight", nose, "headlight")
    rear = -length + 0.08 - 1j * (height - 0.13)
    c.add("taillight", oval(rear, 0.08, 0.12), p.color("taillight", "red", "orange"))
    c.keypoint("taillight", rear, "taillight")
    handle = complex(p.angle(-0.12, 0.08), -height * 0.35)
    c.add("handle", limb(handle - 0.11, handle + 0.11, 0.09), p.color("handle", "black", "grey"))
    c.keypoint("handle", handle, "handle")
    r = p.near(0.24, 0.15)
    for name, x in (("front wheel", p.near(0.58, 0.1)), ("rear wheel", -p.near(0.58, 0.1))):
        hub = complex(x * length, 0.2)
        c.add(name, oval(hub, r, r), p.color(name, "black"))
        c.add(name, oval(hub, 0.5 * r, 0.5 * r), p.shade("grey", 0.3))
        c.keypoint(name, hub, name)


@thing("household")
def teapot(c: Canvas, p: Paint) -> None:
    """Draw a teapot whose spout and handle tilt and whose lid has slipped."""
    rx, ry = p.near(0.54, 0.15), p.near(0.46, 0.18)
    tilt = p.angle(-0.75, 0.4)
    root = complex(0.7 * rx, 0.2 * ry)
    bend = root + p.near(0.4, 0.2) * turn(tilt + 0.3)
    lip = bend + p.near(0.26, 0.3) * turn(tilt - 0.2)
    spout = p.color("spout", *BRIGHT, "white")
    c.add("spout", limb(root, bend, 0.3, 0.18), spout)
    c.add("spout", limb(bend - 0.05 * turn(tilt), lip, 0.18, 0.15), spout)
    c.keypoint("spout", lip - 0.1 * turn(tilt), "spout")
    handle = p.color("handle", "black", "brown", "white")
    swing, hold = p.angle(np.pi, 0.35), p.near(0.32, 0.2)
    middle = complex(-0.9 * rx, 0) + 0.2 * turn(swing)
    around = np.linspace(0.35 * np.pi, 1.65 * np.pi, 12)
    ring = [middle + complex(hold * np.cos(t), 1.15 * hold * np.sin(t)) for t in around]
    for a, b in pairwise(ring):
        c.add("handle", limb(a, b + 0.2 * (b - a), 0.12), handle)
    c.keypoint("handle", ring[len(ring) // 2], "handle")
    foot = limb(complex(-0.55 * rx, 0.93 * ry), complex(0.55 * rx, 0.93 * ry), 0.18)
    c.add("base", foot, p.color("base", "black", "brown", "grey"))
    c.keypoint("base", complex(0, 1.02 * ry), "base")
    c.add("body", oval(0, rx, ry), p.color("body", *BRIGHT, "white"))
    p.markings("body", 0, 0.9 * rx, 0.8 * ry)
    slide = p.angle(0, 0.14)  # the lid is not quite closed
    lid = complex(slide, -0.86 * ry)
    c.add("lid", oval(lid, 0.32, 0.13, p.angle(0, 0.25)), p.color("lid", *BRIGHT, "white"))
    c.keypoint("lid", lid, "lid")
    knob = lid - 0.2j
    c.add("knob", oval(knob, 0.13, 0.13), p.color("knob", "black", "yellow", "red"))
    c.keypoint("knob", knob, "knob")


@thing("household")
def lamp(c: Canvas, p: Paint) -> None:
    """Draw a desk lamp with a jointed arm."""
    base = p.color("base", "black", "brown", "blue")
    arm = p.color("arm", "grey", "white")
    lower, upper = p.angle(-np.pi / 2 - 0.35, 0.45), p.angle(-np.pi / 2 + 0.75, 0.5)
    elbow = p.near(0.8, 0.15) * turn(lower)
    head = elbow + p.near(0.68, 0.2) * turn(upper)
    c.add("arm", limb(0, elbow, 0.12), arm)
    c.add("arm", limb(elbow, head, 0.12), arm)
    c.keypoint("lower arm", 0.45 * elbow, "arm")
    c.add("base", limb(-0.42 + 0.08j, 0.42 + 0.08j, 0.26), base)
    c.keypoint("base", -0.2 + 0.08j, "base")
    c.add("switch", oval(0.2 + 0.06j, 0.1, 0.1), p.color("switch", "red", "green"))
    c.keypoint("switch", 0.2 + 0.06j, "switch")
    c.add("elbow", oval(elbow, 0.15, 0.15), p.color("elbow", "red", "orange", "yellow"))
    c.keypoint("elbow", elbow, "elbow")
    aim = p.angle(0.8, 0.55)
    mouth = head + p.near(0.36, 0.15) * turn(aim)
    c.add("bulb", oval(mouth, 0.17, 0.17), p.color("bulb", "yellow", "white"))
    c.keypoint("bulb", mouth + 0.09 * turn(aim), "bulb")
    c.add("shade", limb(head - 0.14 * turn(aim), mouth, 0.24, p.near(0.68, 0.12)), p.color("shade", *BRIGHT))
    c.keypoint("shade", head + 0.12 * turn(aim), "shade")
