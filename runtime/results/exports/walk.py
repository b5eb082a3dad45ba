"""The walk of a checked export: from checkpoint and pictures to files that were compared.

What the flags name comes as `Parts`, so that this knows no factory.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from runtime import options
from runtime.results import exporter
from runtime.results.exports import checking, samples
from runtime.results.exports.forms import model, table
from runtime.results.exports.forms.source import Source
from slim import errors

# The flags that ask for a checked export; without any the graph is as the classic suite's.
FLAGS = frozenset(
    (
        'format', 'quantization', 'output', 'include_preprocessing', 'inference_input_type',
        'inference_output_type', 'opset', 'calibration_dir', 'calibration_split',
        'calibration_images', 'check_images', 'tolerance', 'top_k',
    )
)  # fmt: skip
_LEAST_CALIBRATION = 16
_VIDEO_FRAMES = 16  # of the videos that a network of any number is compared on


@dataclasses.dataclass(frozen=True)
class Parts:
    """What the flags name."""

    network: Any  # lookup.Network
    preprocess: Callable[..., Any]  # image file, height, width to the network's input
    pixel_scale: tuple[float, tuple[float, ...]] | None
    labels: Callable[[int], tuple[str, ...] | None]  # of so many classes
    pictures: Callable[[int], list[tuple[str, bytes]]] | None  # at most so many; None: none given


def check_flags(chosen: options.Export) -> list[table.Target]:
    """The files to write. Raises UsageError, before anything is built, for what does not fit."""
    targets = table.targets(chosen.format or 'graphdef', chosen.quantization, chosen.output_file)
    kinds = {target.quantization for target in targets if target.form == 'tflite'}
    if chosen.is_training:
        raise errors.UsageError('--is_training: only the classic GraphDef has a training form')
    if not chosen.checkpoint_path:
        raise errors.UsageError(
            '--checkpoint_path is missing: give the checkpoint whose weights the files get'
        )
    if 'int8' in kinds and not chosen.calibration_dir:
        raise errors.UsageError(
            '--quantization=int8 needs --calibration_dir, a folder of pictures or of records'
        )
    if chosen.inference_input_type == 'uint8' and not (
        kinds == {'int8'} or chosen.include_preprocessing
    ):
        raise errors.UsageError(
            '--inference_input_type=uint8 needs --quantization=int8 alone, or pixels as input: '
            '--include_preprocessing'
        )
    if chosen.inference_output_type == 'uint8' and kinds != {'int8'}:
        raise errors.UsageError('--inference_output_type=uint8 needs --quantization=int8 alone')
    if chosen.is_video_model and chosen.include_preprocessing and chosen.use_grayscale:
        raise errors.UsageError('--use_grayscale: video networks take three channels')
    checking.check_possible(targets)
    return targets


def export(
    chosen: options.Export, targets: Sequence[table.Target], parts: Parts, checkpoint: str
) -> tuple[list[str], str]:
    """Writes and checks the files; returns the lines of the result, and which weights they have."""
    size = parts.network.image_size
    name = chosen.preprocessing_name or chosen.model_name
    takes_pixels = any(target.form in ('tflite', 'onnx') for target in targets)
    if chosen.include_preprocessing and parts.pixel_scale is None and takes_pixels:
        raise errors.UsageError(
            f'--include_preprocessing: {name} is no scale of each pixel by itself, so TFLite and '
            'ONNX have it outside; a SavedModel or GraphDef has all of it inside'
        )
    pictures = _pictures(chosen, targets, parts)
    images = samples.preprocessed(pictures, parts.preprocess, size)
    calibration, compared = images, images[: chosen.check_images]
    files = [content for _, content in pictures[: chosen.check_images]]
    inside = compared
    if chosen.include_preprocessing and takes_pixels and parts.pixel_scale:
        inside = samples.whole_pixels(compared, parts.pixel_scale)
    shape: list[int | None] = [chosen.batch_size, *images.shape[1:]]
    if chosen.is_video_model:
        frames = chosen.num_frames or _VIDEO_FRAMES
        shape = [chosen.batch_size, chosen.num_frames, *images.shape[1:]]
        calibration, compared, inside = (
            samples.as_videos(array, frames) for array in (calibration, compared, inside)
        )
        files = []
    frozen = exporter.freeze_and_run(
        exporter.classifier(parts.network.function, chosen.output),
        shape,
        checkpoint,
        chosen.moving_average_decay,
        [inside, compared],
    )
    about = model.About(
        model_name=chosen.model_name,
        preprocessing_name=name,
        use_grayscale=chosen.use_grayscale,
        image_size=size,
        output=chosen.output,
        labels=None if chosen.output == 'features' else parts.labels(frozen.results[0].shape[-1]),
    )
    source = Source(
        frozen.graph_def,
        shape,
        about,
        parts.pixel_scale,
        parts.preprocess,
        chosen,
        lambda: calibration[: chosen.calibration_images],
    )
    seen = checking.Samples(inside, frozen.results[0], files, frozen.results[1])
    entries = checking.write(targets, source, seen, chosen.tolerance)
    return checking.shown(targets, entries, seen.comparison), frozen.note


def _pictures(
    chosen: options.Export, targets: Sequence[table.Target], parts: Parts
) -> list[tuple[str, bytes]]:
    calibrates = any(target.quantization == 'int8' for target in targets)
    wanted = max(chosen.check_images, chosen.calibration_images if calibrates else 0)
    if parts.pictures is None:
        return samples.made(wanted)
    found = parts.pictures(wanted)
    if calibrates and len(found) < _LEAST_CALIBRATION:
        raise errors.DataError(
            f'--calibration_dir={errors.shortened(chosen.calibration_dir, 80)} has {len(found)} '
            f'pictures; int8 needs {_LEAST_CALIBRATION} at least to measure its ranges on'
        )
    return found
