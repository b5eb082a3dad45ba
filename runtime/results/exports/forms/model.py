"""What all forms have in common: a loaded model, and what an export says about itself.

No TensorFlow, so that an ONNX file runs without.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from slim import errors

IMAGES, IMAGE_BYTES = 'images', 'image_bytes'
# Of a detector: what is left after suppression, or every anchor's box.
DETECTIONS, ALL_BOXES = 'detections', 'all_boxes'
OUTPUTS = ('logits', 'probabilities', 'features', DETECTIONS, ALL_BOXES)
# The outputs by their names in a file, in this order: a detector's, and any other network's.
OF_DETECTOR, OF_CLASSIFIER = ('boxes', 'scores', 'classes'), ('output',)
REPORT_NAME = 'export.json'

# Under these names an export has its `About` inside of the file.
ABOUT_NAME = 'tf_slim_suite.json'
ABOUT_KEY = 'tf_slim_suite'

_KIND = 'tf-slim-suite export 1'
_LARGEST_REPORT = 1 << 24


@dataclasses.dataclass(frozen=True)
class About:
    """What an export says about itself, inside of the file or in `export.json` beside it."""

    model_name: str
    preprocessing_name: str
    use_grayscale: bool
    image_size: int  # pixels, side; of a detector's frame the height
    output: str  # one of OUTPUTS
    labels: tuple[str, ...] | None  # by place in the logits
    # (scale, offset by channel): the network's input is pixel * scale + offset, and the file takes
    # pixels, 0..255. None: it takes the network's input.
    pixels: tuple[float, tuple[float, ...]] | None = None
    image_width: int | None = None  # pixels; None: as the height

    @property
    def frame(self) -> tuple[int, int]:
        """Height and width of the images in pixels."""
        return self.image_size, self.image_width or self.image_size

    @property
    def finds_boxes(self) -> bool:
        return self.output in (DETECTIONS, ALL_BOXES)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what comes out, in this order."""
        return OF_DETECTOR if self.finds_boxes else OF_CLASSIFIER

    def to_json(self) -> str:
        return json.dumps({'kind': _KIND, **dataclasses.asdict(self)}, ensure_ascii=False)


def about_of_json(text: str | bytes) -> About | None:
    """None where it is of some other program, or damaged: a file may come from a stranger."""
    try:
        return about_of_values(json.loads(text))
    except (ValueError, RecursionError):
        return None


def about_of_values(values: Any) -> About | None:
    """An `About` of parsed JSON, each value checked."""
    if not isinstance(values, dict) or values.get('kind') != _KIND:
        return None
    labels, pixels = values.get('labels'), values.get('pixels')
    width = values.get('image_width')
    sound = (
        all(isinstance(values.get(key), str) for key in ('model_name', 'preprocessing_name'))
        and isinstance(values.get('use_grayscale'), bool)
        and type(values.get('image_size')) is int
        and 0 < values['image_size'] <= 8192
        and (width is None or (type(width) is int and 0 < width <= 8192))
        and values.get('output') in OUTPUTS
        and (labels is None or _all_are(labels, str))
        and (pixels is None or _are_pixels(pixels))
    )
    if not sound:
        return None
    return About(
        model_name=values['model_name'],
        preprocessing_name=values['preprocessing_name'],
        use_grayscale=values['use_grayscale'],
        image_size=values['image_size'],
        output=values['output'],
        labels=None if labels is None else tuple(labels),
        pixels=None if pixels is None else (float(pixels[0]), tuple(map(float, pixels[1]))),
        image_width=width,
    )


def _all_are(value: Any, kind: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(item, kind) for item in value)


def _are_pixels(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) == 2
        and isinstance(value[0], float)
        and value[0] > 0
        and _all_are(value[1], (int, float))
        and len(value[1]) in (1, 3)
    )


def read_report(folder: str) -> dict[str, Any]:
    """Name of a file to its entry, of the `export.json` of a folder; {} where there is none."""
    path = os.path.join(folder, REPORT_NAME)
    try:
        with open(path, 'rb') as file:
            values = json.loads(file.read(_LARGEST_REPORT))
    except (OSError, ValueError, RecursionError):
        return {}
    files = values.get('files') if isinstance(values, dict) else None
    return files if isinstance(files, dict) else {}


def about_beside(path: str) -> About | None:
    """What `export.json` beside a file says about it."""
    folder, name = os.path.split(os.path.abspath(path))
    entry = read_report(folder).get(name)
    return about_of_values(entry.get('about')) if isinstance(entry, dict) else None


@dataclasses.dataclass(frozen=True)
class Exported:
    """A network that was exported, loaded."""

    path: str
    kind: str  # 'graphdef', 'saved_model', 'tflite' or 'onnx'
    takes: str  # IMAGES or IMAGE_BYTES
    image_shape: tuple[int | None, ...]  # of one of the images: [frames,] height, width, channels
    batch_size: int | None  # that the file is fixed to; `run` takes any number all the same
    about: About | None
    # [n, ...] or n image files to float32 [n, classes]; of a detector to `boxes_in_rows`.
    run: Callable[[Any], np.ndarray]
    outputs: tuple[str, ...] = OF_CLASSIFIER  # names of what comes out of the file

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Names of the classes, by place in what `run` gives; None where the file has none."""
        return self.about.labels if self.about else None

    @property
    def output(self) -> str:
        """One of OUTPUTS."""
        if self.about:
            return self.about.output
        return DETECTIONS if self.outputs == OF_DETECTOR else 'logits'

    @property
    def image_size(self) -> int | None:
        """Side of the images in pixels, or their height; None where the file leaves it free."""
        return self.about.image_size if self.about else self.image_shape[-3]

    @property
    def preprocessing_name(self) -> str | None:
        return self.about.preprocessing_name if self.about else None

    @property
    def use_grayscale(self) -> bool:
        return self.image_shape[-1] == 1


def boxes_in_rows(boxes: Any, scores: Any, classes: Any) -> np.ndarray:
    """What comes out of a detector's file as one array.

    Args:
      boxes: [n, boxes, 4], corner form, in pixels of the frame.
      scores: [n, boxes].
      classes: integer [n, boxes].

    Returns float32 [n, boxes, 6]: xmin, ymin, xmax, ymax, score, class.
    """
    parts = [np.asarray(boxes), np.asarray(scores)[..., None], np.asarray(classes)[..., None]]
    return np.concatenate(parts, axis=-1).astype(np.float32)


def as_one(values: Sequence[Any]) -> np.ndarray:
    """What `Exported.run` gives, of the outputs of a file."""
    return boxes_in_rows(*values) if len(values) == len(OF_DETECTOR) else values[0]


def check_takes(path: str, takes: str | None, offered: Sequence[str]) -> str:
    """What the file is to take, of what it offers, the best first. CheckpointError."""
    if takes is None:
        return offered[0]
    if takes not in offered:
        raise errors.CheckpointError(
            f'{errors.shortened(path, 120)} takes {" and ".join(offered)}, not {takes}'
        )
    return takes


def cannot_load(path: str, form: str, error: BaseException) -> errors.CheckpointError:
    why = errors.shortened(' '.join(str(error).split()) or type(error).__name__, 120)
    return errors.CheckpointError(
        f'{errors.shortened(path, 120)} cannot be loaded as {form}; is it damaged? ({why})'
    )


def to_pixels(images: np.ndarray, about: About | None, to: np.dtype | type) -> np.ndarray:
    """Preprocessed images as a file with its own scaling takes them, 0..255."""
    if about is None or about.pixels is None:
        return images
    scale, offset = about.pixels
    pixels = np.asarray((images - np.array(offset, np.float32)) / np.float32(scale))
    if to == np.uint8:
        return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return pixels.astype(np.float32)


def in_parts(
    run: Callable[[Any], np.ndarray], batch_size: int | None
) -> Callable[[Any], np.ndarray]:
    """`run` for any number of images, of one that takes exactly `batch_size`; None: any number."""
    if batch_size is None:
        return run

    def run_parts(batch: Any) -> np.ndarray:
        results = []
        for begin in range(0, len(batch), batch_size):
            part = batch[begin : begin + batch_size]
            missing = batch_size - len(part)
            if missing and isinstance(part, np.ndarray):
                filled = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)])
            else:
                filled = part if not missing else [*part, *[part[-1]] * missing]
            results.append(run(filled)[: len(part)])
        return np.concatenate(results)

    return run_parts
