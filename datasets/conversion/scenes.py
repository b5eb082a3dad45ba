"""Street-like scenes with boxes, drawn from a seed: data for the detector without a download.

Cars, pedestrians, cyclists and a few vans on a road, one behind another, in front of houses and
trees, which are no objects. They are written in KITTI's form (`kitti_folders`): pictures, label
files with truncation and occlusion, a DontCare region here and there, lists of splits. Each scene
is a function of the seed and its number.
"""

from __future__ import annotations

import math
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

from datasets.conversion import kitti_folders
from datasets.records import atomic_files
from slim.errors import UsageError

HEIGHT, WIDTH = 375, 1242
MIN_HEIGHT, MIN_WIDTH = 64, 64

# Parts of the picture's height and pixels.
_HORIZON = 0.4
_CAMERA = 1.65  # metres above the road
_MIN_SCALE = 14.5  # pixels for a metre: a car is 22 pixels high, too small to count
_OBJECTS = (3, 9)
# Occlusion by the part that is seen; what is hidden more is not drawn.
_LEVELS = ((0.95, 0), (0.6, 1), (0.25, 2))
_MAX_TRUNCATED = 0.45
_PNG_LEVEL = 3

Colour = tuple[int, int, int]
Point = tuple[float, float]


@dataclass(frozen=True)
class _Kind:
    """A type of an object: how high it is, how wide for its height, and its shapes."""

    name: str
    weight: float  # how often
    metres: tuple[float, float]
    aspect: tuple[float, float]  # width by height
    shapes: Callable[[random.Random, Colour], list[_Shape]]


@dataclass(frozen=True)
class _Shape:
    """A filled polygon, an ellipse or a ring; points are parts of the object's box."""

    form: str
    points: tuple[Point, ...]
    colour: Colour


@dataclass
class _Object:
    kind: _Kind
    scale: float  # pixels for a metre
    left: float
    top: float
    right: float
    bottom: float
    shapes: list[_Shape] = field(default_factory=list)
    truncated: float = 0.0
    occluded: int = 0


def write(
    root: str,
    num_pictures: dict[str, int],
    height: int = HEIGHT,
    width: int = WIDTH,
    seed: int = 0,
) -> None:
    """Writes scenes in KITTI's form below `root`, with the lists of the splits.

    `num_pictures`: by split; the pictures of the first one have the first numbers. UsageError for
    numbers and sizes that make no sense.
    """
    if height < MIN_HEIGHT or width < MIN_WIDTH:
        raise UsageError(
            f'Scenes of {width}x{height} pixels are too small; at least {MIN_WIDTH}x{MIN_HEIGHT}'
        )
    for split, count in num_pictures.items():
        if count < 1:
            raise UsageError(f'{split}: {count} scenes; at least 1')
    folders = [os.path.join(root, 'training', name) for name in ('image_2', 'label_2')]
    with atomic_files.writing(root):
        for folder in (*folders, os.path.join(root, 'ImageSets')):
            os.makedirs(folder, exist_ok=True)
    first = 0
    for split, count in num_pictures.items():
        stems = [f'{number:06d}' for number in range(first, first + count)]
        first += count
        for stem in stems:
            picture, lines = draw(seed, int(stem), height, width)
            path = os.path.join(folders[0], f'{stem}.png')
            with atomic_files.writing(path):
                picture.save(path, compress_level=_PNG_LEVEL)
            atomic_files.write_text(os.path.join(folders[1], f'{stem}.txt'), ''.join(lines))
        names = ''.join(f'{stem}\n' for stem in stems)
        atomic_files.write_text(kitti_folders.list_path(root, split), names)


def draw(seed: int, number: int, height: int, width: int) -> tuple[Image.Image, list[str]]:
    """The scene `number` and the lines of its label file."""
    drawn = random.Random(seed * 1_000_003 + number)
    picture = _ground(drawn, height, width)
    _houses_and_trees(drawn, picture)
    objects = _visible(_place(drawn, height, width), height, width)
    for one in objects:
        _paint(ImageDraw.Draw(picture), one)
    lines = [_line(one, height, width) for one in objects]
    if drawn.random() < 0.25:
        lines.append(_crowd(drawn, picture))
    return picture, lines


def _ground(drawn: random.Random, height: int, width: int) -> Image.Image:
    """Sky, meadow and a road with lines, with coarse and fine texture."""
    noise = np.random.RandomState(int(drawn.random() * 2**31))
    rows = np.linspace(0.0, 1.0, height)[:, np.newaxis]
    columns = np.linspace(-1.0, 1.0, width)[np.newaxis]
    below = np.maximum(rows - _HORIZON, 0.0) / (1.0 - _HORIZON)
    road = np.abs(columns - 0.3 * (drawn.random() - 0.5)) < 0.08 + 0.8 * below
    light = 0.7 + 0.5 * drawn.random()
    sky = np.stack([150 + 60 * rows, 170 + 50 * rows, 210 + 20 * rows], axis=-1)
    meadow = np.array([90.0, 110.0, 60.0])
    asphalt = np.array([105.0, 105.0, 110.0])
    pixels = np.where(
        (rows < _HORIZON)[..., np.newaxis],
        np.broadcast_to(sky, (height, width, 3)),
        np.where(road[..., np.newaxis], asphalt, meadow),
    )
    coarse = noise.random_sample((max(2, height // 12), max(2, width // 12))) * 255
    blurred = Image.fromarray(coarse.astype(np.uint8)).resize(
        (width, height), Image.Resampling.BILINEAR
    )
    texture = (np.asarray(blurred, np.float64) - 127.5) * 0.25
    texture += noise.random_sample((height, width)) * 8.0 - 4.0
    pixels = (pixels + texture[..., np.newaxis]) * light
    picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    lines = ImageDraw.Draw(picture)
    for side in (-0.35, 0.35):
        top = (width * (0.5 + 0.05 * side), height * _HORIZON)
        bottom = (width * (0.5 + side), height)
        lines.line([top, bottom], fill=(200, 200, 190), width=max(1, height // 120))
    return picture


def _houses_and_trees(drawn: random.Random, picture: Image.Image) -> None:
    """What stands behind the road, and is no object."""
    width, height = picture.size
    brush = ImageDraw.Draw(picture)
    horizon = height * _HORIZON
    for _ in range(int(4 + 6 * drawn.random())):
        left, tall = drawn.random() * width, height * (0.1 + 0.25 * drawn.random())
        wide = tall * (0.5 + drawn.random())
        if drawn.random() < 0.5:
            wall = _colour(drawn, 90, 190)
            brush.rectangle([left, horizon - tall, left + wide, horizon + height * 0.03], fill=wall)
            window = tuple(part // 2 for part in wall)
            for row in range(2):
                for column in range(3):
                    x = left + wide * (0.12 + 0.3 * column)
                    y = horizon - tall * (0.85 - 0.4 * row)
                    brush.rectangle([x, y, x + wide * 0.15, y + tall * 0.2], fill=window)
        else:
            trunk = wide * 0.08
            middle = left + wide / 2
            foot = horizon + height * 0.04
            brush.rectangle(
                [middle - trunk, horizon - tall / 2, middle + trunk, foot], (80, 60, 40)
            )
            leaves = (40 + int(40 * drawn.random()), 80 + int(50 * drawn.random()), 40)
            brush.ellipse([left, horizon - tall, left + wide, horizon - tall * 0.25], fill=leaves)


def _place(drawn: random.Random, height: int, width: int) -> list[_Object]:
    """Objects from the farthest to the nearest, where they would stand."""
    largest = 0.95 * (1.0 - _HORIZON) * height / _CAMERA
    objects = []
    for _ in range(int(_OBJECTS[0] + (_OBJECTS[1] - _OBJECTS[0]) * drawn.random())):
        kind = _choose(drawn)
        scale = math.exp(_between(drawn, math.log(_MIN_SCALE), math.log(largest)))
        tall = scale * _between(drawn, *kind.metres)
        wide = tall * _between(drawn, *kind.aspect)
        middle = _between(drawn, -0.1 * wide, width + 0.1 * wide)
        bottom = _HORIZON * height + _CAMERA * scale
        left = middle - wide / 2
        one = _Object(kind, scale, left, bottom - tall, left + wide, bottom)
        inside = min(one.right, width) - max(one.left, 0)
        one.truncated = max(0.0, 1.0 - inside / wide)
        one.shapes = kind.shapes(drawn, _colour(drawn, 40, 230))
        if one.truncated < _MAX_TRUNCATED:
            objects.append(one)
    return sorted(objects, key=lambda one: one.scale)


def _visible(objects: list[_Object], height: int, width: int) -> list[_Object]:
    """Those of which enough is seen, with their levels of occlusion."""
    while True:
        owners = Image.new('I', (width, height), -1)
        brush = ImageDraw.Draw(owners)
        whole = []
        for number, one in enumerate(objects):
            alone = Image.new('1', (width, height))
            _paint(ImageDraw.Draw(alone), one, 1)
            whole.append(int(np.asarray(alone).sum()))
            _paint(brush, one, number)
        seen = np.bincount(np.asarray(owners).ravel() + 1, minlength=len(objects) + 1)[1:]
        hidden = None
        for number, one in enumerate(objects):
            part = seen[number] / max(1, whole[number])
            level = next((level for least, level in _LEVELS if part >= least), None)
            if level is None:
                hidden = number
                break
            one.occluded = level
        if hidden is None:
            return objects
        del objects[hidden]  # The others may be seen better then.


def _crowd(drawn: random.Random, picture: Image.Image) -> str:
    """Far objects that nobody has labelled, as a DontCare region."""
    width, height = picture.size
    tall = max(6.0, height * 0.04)
    left = drawn.random() * (width - 8 * tall)
    top = height * _HORIZON - tall * 0.4
    for place in range(6):
        kind = _KINDS[1]
        x = left + tall * (0.4 + 1.2 * place)
        shapes = kind.shapes(drawn, _colour(drawn, 40, 200))
        far = _Object(kind, 0.0, x, top + tall * 0.1, x + tall * 0.4, top + tall, shapes)
        _paint(ImageDraw.Draw(picture), far)
    box = (left, top, left + 8 * tall, top + tall * 1.1)
    return _format('DontCare', -1.0, -1, box)


def _line(one: _Object, height: int, width: int) -> str:
    box = (
        max(one.left, 0.0),
        max(one.top, 0.0),
        min(one.right, float(width)),
        min(one.bottom, float(height)),
    )
    return _format(one.kind.name, one.truncated, one.occluded, box)


def _format(
    kind: str, truncated: float, occluded: int, box: tuple[float, float, float, float]
) -> str:
    sides = ' '.join(f'{side:.2f}' for side in box)
    return f'{kind} {truncated:.2f} {occluded} -10 {sides} -1 -1 -1 -1000 -1000 -1000 -10\n'


def _paint(brush: ImageDraw.ImageDraw, one: _Object, number: int | None = None) -> None:
    """Draws the object in its colours, or all of it as `number`."""
    wide, tall = one.right - one.left, one.bottom - one.top
    for shape in one.shapes:
        points = [(one.left + x * wide, one.top + y * tall) for x, y in shape.points]
        fill = shape.colour if number is None else number
        if shape.form == 'polygon':
            brush.polygon(points, fill=fill)
        elif shape.form == 'ellipse':
            brush.ellipse(points, fill=fill)
        else:
            brush.ellipse(points, outline=fill, width=max(1, round(tall * 0.04)))


def _car(drawn: random.Random, colour: Colour) -> list[_Shape]:
    lean = 0.1 * drawn.random()
    glass = (40, 50, 60)
    front, back = (0.14 + lean, 0.0), (0.86 - lean, 0.0)
    return [
        _Shape('polygon', ((0.06, 0.42), front, back, (0.94, 0.42)), colour),
        _Shape(
            'polygon', ((0.14, 0.4), (0.2 + lean, 0.07), (0.8 - lean, 0.07), (0.86, 0.4)), glass
        ),
        _Shape('polygon', ((0.0, 0.4), (1.0, 0.4), (1.0, 0.84), (0.0, 0.84)), colour),
        _Shape('ellipse', ((0.08, 0.66), (0.3, 1.0)), (20, 20, 20)),
        _Shape('ellipse', ((0.7, 0.66), (0.92, 1.0)), (20, 20, 20)),
        _Shape(
            'polygon', ((0.02, 0.48), (0.12, 0.48), (0.12, 0.58), (0.02, 0.58)), (250, 240, 190)
        ),
        _Shape('polygon', ((0.88, 0.48), (0.98, 0.48), (0.98, 0.58), (0.88, 0.58)), (210, 40, 40)),
    ]


def _van(drawn: random.Random, colour: Colour) -> list[_Shape]:
    del drawn
    return [
        _Shape('polygon', ((0.0, 0.3), (0.2, 0.0), (1.0, 0.0), (1.0, 0.88), (0.0, 0.88)), colour),
        _Shape('polygon', ((0.05, 0.3), (0.22, 0.06), (0.4, 0.06), (0.4, 0.34)), (40, 50, 60)),
        _Shape('ellipse', ((0.1, 0.74), (0.3, 1.0)), (20, 20, 20)),
        _Shape('ellipse', ((0.7, 0.74), (0.9, 1.0)), (20, 20, 20)),
    ]


def _pedestrian(drawn: random.Random, colour: Colour) -> list[_Shape]:
    skin, trousers = (220, 180, 150), _colour(drawn, 20, 110)
    return [
        _Shape('polygon', ((0.25, 0.5), (0.5, 0.5), (0.35, 1.0), (0.05, 1.0)), trousers),
        _Shape('polygon', ((0.5, 0.5), (0.75, 0.5), (0.95, 1.0), (0.65, 1.0)), trousers),
        _Shape('polygon', ((0.2, 0.17), (0.8, 0.17), (0.75, 0.56), (0.25, 0.56)), colour),
        _Shape('polygon', ((0.2, 0.18), (0.32, 0.22), (0.14, 0.58), (0.0, 0.56)), colour),
        _Shape('polygon', ((0.8, 0.18), (0.68, 0.22), (0.86, 0.58), (1.0, 0.56)), colour),
        _Shape('ellipse', ((0.3, 0.0), (0.7, 0.18)), skin),
    ]


def _cyclist(drawn: random.Random, colour: Colour) -> list[_Shape]:
    frame, skin, trousers = _colour(drawn, 20, 240), (220, 180, 150), _colour(drawn, 20, 110)
    return [
        _Shape('ring', ((0.0, 0.58), (0.44, 1.0)), (20, 20, 20)),
        _Shape('ring', ((0.56, 0.58), (1.0, 1.0)), (20, 20, 20)),
        _Shape(
            'polygon', ((0.2, 0.78), (0.36, 0.56), (0.74, 0.52), (0.8, 0.8), (0.5, 0.84)), frame
        ),
        _Shape(
            'polygon', ((0.3, 0.5), (0.46, 0.48), (0.6, 0.72), (0.5, 0.9), (0.42, 0.86)), trousers
        ),
        _Shape('polygon', ((0.3, 0.54), (0.44, 0.2), (0.64, 0.22), (0.5, 0.56)), colour),
        _Shape('polygon', ((0.54, 0.24), (0.62, 0.24), (0.78, 0.5), (0.7, 0.52)), colour),
        _Shape('ellipse', ((0.46, 0.0), (0.66, 0.2)), skin),
    ]


_KINDS = (
    _Kind('Car', 0.35, (1.45, 1.65), (1.5, 2.6), _car),
    _Kind('Pedestrian', 0.3, (1.6, 1.9), (0.36, 0.48), _pedestrian),
    _Kind('Cyclist', 0.28, (1.65, 1.85), (0.9, 1.1), _cyclist),
    _Kind('Van', 0.07, (2.0, 2.3), (1.6, 2.1), _van),
)


def _choose(drawn: random.Random) -> _Kind:
    place = drawn.random() * sum(kind.weight for kind in _KINDS)
    for kind in _KINDS:
        place -= kind.weight
        if place < 0:
            return kind
    return _KINDS[0]


def _between(drawn: random.Random, low: float, high: float) -> float:
    return low + (high - low) * drawn.random()


def _colour(drawn: random.Random, low: int, high: int) -> Colour:
    red, green, blue = (int(_between(drawn, low, high)) for _ in range(3))
    return red, green, blue
