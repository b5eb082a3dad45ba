"""The walk of a detector's export: from checkpoint and pictures to files that were compared.

As `walk`, with other outputs: boxes, scores and classes, decoded and suppressed in the graph.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from detection import anchors, comparison, graph_suppression, outputs
from runtime import options
from runtime.results import exporter
from runtime.results.exports import checking, samples
from runtime.results.exports.forms import model, table
from runtime.results.exports.forms.source import Source
from slim import errors

_SHAPES = len(anchors.SHAPES)
_UNIT = 'of the frame or of a score of 1'


@dataclasses.dataclass(frozen=True)
class Parts:
    """What the flags name."""

    network: Any  # detection_lookup.Network
    preprocess: Callable[..., Any]  # image file, height, width to the network's input
    pixel_scale: tuple[float, tuple[float, ...]]
    pictures: Callable[[int], list[tuple[str, bytes]]]  # at most so many


def check_flags(chosen: options.DetectionExport) -> list[table.Target]:
    """The files to write. Raises UsageError, before anything is built, for what does not fit."""
    targets = table.targets(chosen.format, chosen.quantization, chosen.output_file)
    if any(target.quantization == 'int8' for target in targets):
        raise errors.UsageError(
            '--quantization=int8: boxes in 8 bits would be pixels off, so detectors have none, '
            'float16 and dynamic (8-bit weights)'
        )
    if chosen.inference_input_type == 'uint8' and not chosen.include_preprocessing:
        raise errors.UsageError(
            '--inference_input_type=uint8 needs pixels as input: --include_preprocessing'
        )
    checking.check_possible(targets)
    return targets


def export(
    chosen: options.DetectionExport, targets: Sequence[table.Target], parts: Parts, checkpoint: str
) -> tuple[list[str], str]:
    """Writes and checks the files; returns the lines of the result, and which weights they have."""
    frame = chosen.image_height, chosen.image_width
    pictures = parts.pictures(chosen.check_images)
    images = samples.preprocessed(pictures, parts.preprocess, *frame)
    inside = images
    if chosen.include_preprocessing:
        inside = samples.whole_pixels(images, parts.pixel_scale)
    shape: list[int | None] = [1, *images.shape[1:]]
    frozen = exporter.freeze_and_run(
        detector(parts.network, frame, chosen.suppress),
        shape,
        checkpoint,
        chosen.moving_average_decay,
        [inside, images],
    )
    about = model.About(
        model_name=chosen.model_name,
        preprocessing_name='mobilenetdet',
        use_grayscale=False,
        image_size=frame[0],
        output=model.DETECTIONS if chosen.suppress else model.ALL_BOXES,
        labels=parts.network.class_names,
        image_width=frame[1],
    )
    source = Source(
        frozen.graph_def,
        shape,
        about,
        parts.pixel_scale,
        parts.preprocess,
        chosen,
        lambda: images,
    )
    seen = checking.Samples(
        inside,
        frozen.results[0],
        [content for _, content in pictures],
        frozen.results[1],
        checking.Comparison(measure(frame, chosen.suppress), _UNIT, 'found', 'found'),
    )
    entries = checking.write(targets, source, seen, chosen.tolerance)
    return checking.shown(targets, entries, seen.comparison), frozen.note


def detector(network: Any, frame: tuple[int, int], suppress: bool) -> exporter.Build:
    """For `exporter.freeze_and_run`: of one image to `model.OF_DETECTOR`.

    What is run is float32 [1, A, 4 + C]: of all anchors the box and the score of each class.
    """

    def build(images: tf.Tensor) -> tuple[Sequence[str], tf.Tensor]:
        layer, _ = network.function(images)
        predicted = outputs.split(layer, network.num_classes, _SHAPES)
        every = anchors.anchors(*frame).astype('float32')
        scores, classes = outputs.scores(predicted)
        boxes = outputs.decoded(predicted, every, *frame)
        seen = tf.concat([boxes, outputs.class_scores(predicted)], axis=-1)
        found = [boxes, scores, tf.cast(classes, tf.int32)]
        if suppress:
            kept = graph_suppression.detections(*(tensor[0] for tensor in found))
            found = [tensor[tf.newaxis] for tensor in kept]
        named = [
            tf.identity(tensor, name) for name, tensor in zip(model.OF_DETECTOR, found, strict=True)
        ]
        return [tensor.op.name for tensor in named], seen

    return build


def measure(
    frame: tuple[int, int], suppress: bool
) -> Callable[[np.ndarray, np.ndarray], dict[str, float]]:
    """The worst of all pictures, and the share of the checkpoint's detections that are there."""
    compare = comparison.of_detections if suppress else comparison.of_all_boxes

    def measure(got: np.ndarray, expected: np.ndarray) -> dict[str, float]:
        pairs = [(one, seen[:, :4], seen[:, 4:]) for one, seen in zip(got, expected, strict=True)]
        differences = [compare(*pair, frame) for pair in pairs]
        shares = [comparison.share_found(*pair, frame) for pair in pairs]
        return {'difference': max(differences), 'found': float(np.mean(shares))}

    return measure
