"""Diagrams as SVG, written by hand: sharp at any size, and no package is needed for them."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np

from runtime.results.reports import colours
from runtime.results.reports.calibration import BINS, Calibration

_HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
    'aria-label="{label}" font-family="system-ui, sans-serif" font-size="13" fill="#222">'
)
_WIDTH, _LEFT, _PLOT = 430, 78, 330
_GRID = '#dddddd'


def reliability(found: Calibration) -> str:
    """Accuracy by confidence, with the line on which both are equal; below it the images."""
    top, bars = 30, 60
    low, base = top + _PLOT, top + _PLOT + 20 + bars
    parts = [_head(base + 52, 'Accuracy by confidence'), '<g stroke-width="1">']
    parts += _legend(
        (('right', colours.BLUE, 'square'), ('as sure as right', colours.ORANGE, 'line'))
    )
    for tick in range(0, 101, 20):
        y, x = low - _PLOT * tick / 100, _LEFT + _PLOT * tick / 100
        parts.append(_line(_LEFT, y, _LEFT + _PLOT, y, _GRID))
        parts.append(_text(_LEFT - 8, y + 4, f'{tick} %', 'end'))
        parts.append(_text(x, base + 18, f'{tick} %', 'middle'))
    wide = _PLOT / BINS
    most = max(1, int(found.images.max()))
    for number in range(BINS):
        images = int(found.images[number])
        if images:
            x = _LEFT + number * wide
            share = float(found.accuracy[number])
            said = (
                f'{images:,} images, right {share:.1%}, confidence '
                f'{float(found.confidence[number]):.1%}'
            )
            parts.append(_bar(x, low, wide, _PLOT * share, colours.BLUE, said))
            height = max(1.0, bars * images / most)
            parts.append(_bar(x, base, wide, height, '#777777', said))
    parts.append(_line(_LEFT, low, _LEFT + _PLOT, top, colours.ORANGE, 'stroke-width="2"'))
    parts.append(_line(_LEFT, low, _LEFT + _PLOT, low, '#222'))
    parts.append(_line(_LEFT, base, _LEFT + _PLOT, base, '#222'))
    parts.append(_text(_LEFT - 8, base - bars + 9, f'{most:,}', 'end'))
    parts.append(_text(_LEFT - 8, base + 1, '0', 'end'))
    parts.append(
        _text(_LEFT + _PLOT / 2, base + 40, 'probability of the predicted class', 'middle')
    )
    parts.append(_sideways(14, top + _PLOT / 2, 'share that is right'))
    parts.append(_sideways(14, base - bars / 2, 'images'))
    return ''.join([*parts, '</g></svg>'])


def histogram(shares: Sequence[float] | np.ndarray, what: str) -> str:
    """How many classes have which share, in 20 steps; `what` names the share."""
    top, high = 16, 170
    base = top + high
    heights, _ = np.histogram(np.asarray(shares), bins=20, range=(0.0, 1.0))
    most = max(1, int(heights.max()))
    parts = [_head(base + 52, f'Classes by {what}'), '<g stroke-width="1">']
    wide = _PLOT / len(heights)
    for number, height in enumerate(heights.tolist()):
        if height:
            said = f'{height:,} classes from {5 * number} to {5 * number + 5} %'
            x = _LEFT + number * wide
            parts.append(_bar(x, base, wide, max(1.0, high * height / most), colours.BLUE, said))
    parts.append(_line(_LEFT, base, _LEFT + _PLOT, base, '#222'))
    for tick in range(0, 101, 20):
        parts.append(_text(_LEFT + _PLOT * tick / 100, base + 18, f'{tick} %', 'middle'))
    parts.append(_text(_LEFT - 8, top + 9, f'{most:,}', 'end'))
    parts.append(_text(_LEFT - 8, base + 1, '0', 'end'))
    parts.append(_text(_LEFT + _PLOT / 2, base + 40, what, 'middle'))
    parts.append(_sideways(14, top + high / 2, 'classes'))
    return ''.join([*parts, '</g></svg>'])


def _head(height: float, label: str) -> str:
    return _HEAD.format(width=_WIDTH, height=f'{height:g}', label=html.escape(label))


def _legend(entries: Sequence[tuple[str, str, str]]) -> list[str]:
    parts, x = [], float(_LEFT)
    for words, colour, form in entries:
        if form == 'line':
            parts.append(_line(x, 12, x + 18, 12, colour, 'stroke-width="2"'))
        else:
            parts.append(f'<rect x="{x:g}" y="5" width="14" height="14" fill="{colour}"/>')
        parts.append(_text(x + 24, 17, words, 'start'))
        x += 34 + 7.5 * len(words)
    return parts


def _bar(x: float, base: float, width: float, height: float, colour: str, said: str) -> str:
    return (
        f'<rect x="{x + 1:.1f}" y="{base - height:.1f}" width="{width - 2:.1f}" '
        f'height="{height:.1f}" fill="{colour}"><title>{html.escape(said)}</title></rect>'
    )


def _line(x: float, y: float, to_x: float, to_y: float, colour: str, how: str = '') -> str:
    ends = f'x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}"'
    return f'<line {ends} stroke="{colour}" {how}/>'


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(words)}</text>'


def _sideways(x: float, y: float, words: str) -> str:
    turned = f'transform="rotate(-90 {x:.1f} {y:.1f})"'
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" {turned}>{words}</text>'
