"""Colours that those who see fewer of them can tell apart."""

from __future__ import annotations

import itertools

Colour = tuple[int, int, int]

# Okabe and Ito 2008.
BLUE, ORANGE, GREEN = '#0072b2', '#d55e00', '#009e73'
INK, FAINT, EMPTY = (34, 34, 34), (150, 150, 150), (235, 235, 235)

# From white by a blue to nearly black: lighter is less, also in a print without colours.
_RAMP: tuple[tuple[float, Colour], ...] = (
    (0.0, (255, 255, 255)),
    (0.35, (136, 190, 220)),
    (0.7, (0, 102, 170)),
    (1.0, (4, 28, 66)),
)


def of_share(share: float) -> Colour:
    """The colour of a share between 0 and 1.

    By its square root: a class taken for another once in a hundred times is to be seen.
    """
    place = min(max(share, 0.0), 1.0) ** 0.5
    for (low, first), (high, second) in itertools.pairwise(_RAMP):
        if place <= high:
            part = (place - low) / (high - low)
            mixed = [round(a + (b - a) * part) for a, b in zip(first, second, strict=True)]
            return mixed[0], mixed[1], mixed[2]
    return _RAMP[-1][1]


def on_top_of(colour: Colour) -> Colour:
    """White or dark, whichever is read more easily on it."""
    red, green, blue = colour
    return INK if 0.3 * red + 0.59 * green + 0.11 * blue > 140 else (255, 255, 255)
