"""Looks into a step that cost something, and so are taken now and then: for TensorBoard."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf
from PIL import Image

from runtime import options
from runtime.training import traces
from slim import errors

# Groups of the flags that the result depends on; a detector has no augmentation among them.
_DECIDING = ('network', 'schedule', 'optimizer', 'averages', 'augmentation')
_IMAGES, _HISTOGRAMS = 'look_at_images', 'look_at_histograms'


@dataclasses.dataclass(frozen=True)
class Looks:
    """What can be fetched beside a step."""

    images: Any = None  # float [at most `most_images`, s, s, c], of the step's first batch
    most_images: Any = None  # int32 placeholder, 0 where it is not fed
    histograms: Any = None  # scalar string, a serialized tf.Summary


def check(chosen: options.Training) -> None:
    """UsageError for what cannot be looked at, or never would be."""
    traces.steps(chosen.watching, chosen.run.max_number_of_steps)


def add(
    chosen: options.Training, images: Any, end_points: Mapping[str, Any], step: Mapping[str, Any]
) -> Looks:
    """Adds to the graph what the flags ask for.

    Args:
      chosen: of which `watching` counts.
      images: float [b, s, s, c], of the first clone's batch.
      end_points: of the first clone's network.
      step: the fetches of the training step.
    """
    if chosen.run.steps_per_run > 1 or chosen.run.accumulate_steps > 1:
        # What is in the loop cannot be fetched, and beside it the input would give one batch more.
        return Looks()
    histograms = None
    if chosen.watching.save_histograms:
        parts = []
        for name, tensor in end_points.items():
            if tensor.dtype.is_floating:
                parts.append(_histogram(f'activations/{name}', tensor))
                zeros = tf.nn.zero_fraction(tensor)
                parts.append(tf.summary.scalar(f'sparsity/{name}', zeros, collections=[]))
        # As the step leaves them.
        with tf.control_dependencies([step['step']]):
            parts += [
                _histogram(f'weights/{v.op.name}', v.read_value()) for v in tf.trainable_variables()
            ]
        histograms = tf.summary.merge(parts, collections=[])
    if not chosen.watching.save_sample_images:
        return Looks(histograms=histograms)
    # Fetched at every step, and empty at most: for a set of fetches of its own the session would
    # prepare the whole step once more, and XLA compile it.
    with tf.device(images.device):
        most_images = tf.placeholder_with_default(0, [])
        return Looks(images[:most_images], most_images, histograms)


def _histogram(tag: str, tensor: Any) -> Any:
    return tf.summary.histogram(tag, tf.cast(tensor, tf.float32), collections=[])


class Looker:
    """Takes the looks of a run, on the process that writes its folder."""

    def __init__(
        self,
        chosen: options.Training,
        looks: Looks,
        workers: int,
        begins: bool,
    ) -> None:
        """`begins`: the run does, and is not resumed."""
        self._looks = looks
        self._most_images = chosen.watching.save_sample_images
        self._shows_images = begins and looks.images is not None
        self._images_seen = False
        self._every_secs = chosen.run.save_summaries_secs
        self._histogram_time = -float('inf')
        traced = traces.steps(chosen.watching, chosen.run.max_number_of_steps)
        self._tracer = traces.Tracer(chosen.run.train_dir, *traced) if traced else None
        # Of a run of its own on TensorBoard's page HPARAMS.
        self._unwritten: list[tf.Summary] = [hyper_parameters(chosen, workers)]

    def run(
        self,
        reached: int,
        count: int,
        fetches: Mapping[str, Any],
        fed: Mapping[Any, Any],
        run: Callable[..., Any],
    ) -> Any:
        """Runs the `count` steps after `reached` by `run(fetches, fed, ...)`; keeps what it saw."""
        wanted, fed = dict(fetches), dict(fed)
        if self._shows_images:
            wanted[_IMAGES] = self._looks.images
            fed[self._looks.most_images] = 0 if self._images_seen else self._most_images
        now = time.monotonic()
        if self._looks.histograms is not None and now - self._histogram_time >= self._every_secs:
            self._histogram_time = now
            wanted[_HISTOGRAMS] = self._looks.histograms

        def run_wanted(**watched: Any) -> Any:
            return run(wanted, fed, **watched)

        values = self._tracer.run(reached, count, run_wanted) if self._tracer else run_wanted()
        images = values.pop(_IMAGES, ())
        if len(images):
            self._unwritten.append(samples(images))
            self._images_seen = True
        if _HISTOGRAMS in wanted:
            self._unwritten.append(tf.Summary.FromString(values.pop(_HISTOGRAMS)))
        return values

    def after_step(self, step: int, add_summary: Callable[[tf.Summary, int], None]) -> list[str]:
        """Writes what was seen; returns what to say about it.

        Raises:
          OutputError: it cannot be written, which loses no step.
        """
        while self._unwritten:
            add_summary(self._unwritten.pop(0), step)
        return self._tracer.after_step(step) if self._tracer else []

    def close(self) -> list[str]:
        """Writes a trace that has not come to its last step; returns what to say about it."""
        # The run is over, and maybe by an error, which is the one to tell.
        with contextlib.suppress(errors.OutputError):
            return self._tracer.finish() if self._tracer else []
        return []


def samples(images: Any) -> tf.Summary:
    """Pictures of a batch of any range: its lowest value is black, its highest white."""
    lowest, highest = float(np.min(images)), float(np.max(images))
    scaled = (np.asarray(images, np.float32) - lowest) / max(highest - lowest, 1e-12)
    pixels = np.round(scaled * 255).astype(np.uint8)
    return tf.Summary(value=[_picture(n, image) for n, image in enumerate(pixels)])


def _picture(number: int, image: Any) -> tf.Summary.Value:
    height, width, channels = image.shape
    file = io.BytesIO()
    Image.fromarray(image[:, :, 0] if channels == 1 else image).save(file, 'PNG')
    picture = tf.Summary.Image(
        height=height, width=width, colorspace=channels, encoded_image_string=file.getvalue()
    )
    return tf.Summary.Value(tag=f'input/image/{number}', image=picture)


def hyper_parameters(chosen: options.Training, workers: int) -> tf.Summary:
    """The flags that the result depends on, for TensorBoard's page HPARAMS."""
    from tensorboard.plugins.hparams import api

    flags: dict[str, Any] = {}
    for group in _DECIDING:
        if hasattr(chosen, group):
            flags |= options.values(getattr(chosen, group))
    flags |= {
        'batch_size': chosen.input.batch_size,
        'num_workers': workers,
        'dtype': chosen.device.dtype,
        'seed': chosen.run.seed,
        'max_number_of_steps': chosen.run.max_number_of_steps,
    }
    known = {name: value for name, value in flags.items() if value is not None}
    summary = api.hparams_pb(known, trial_id=chosen.run.train_dir)
    return tf.Summary.FromString(summary.SerializeToString())
