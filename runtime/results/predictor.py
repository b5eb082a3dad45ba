"""Pictures through a network: for each, by its number, what the network gives."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow.compat.v1 as tf
from PIL import Image

from runtime import options, startup
from runtime.checkpoints import files, weights
from runtime.devices import precision
from runtime.input import pictures
from runtime.input.inputs import BatchFormat
from runtime.results import exported
from slim import errors

# Numbers of pictures, int64 [n], and their logits, float32 [n, classes].
Scores = Iterator[tuple[np.ndarray, np.ndarray]]

_SIDE = 224  # pixels, where an exported file takes any


class Model(Protocol):
    """What predicts, with its pictures."""

    @property
    def class_names(self) -> Sequence[str] | None: ...
    @property
    def gives_logits(self) -> bool: ...
    def scores(self) -> Scores: ...
    def reason(self, path: str) -> str: ...


class OfCheckpoint:
    """A network of the suite with the weights of a checkpoint, in a graph of its own.

    The graph is an evaluation's, so that the numbers are, to the bit, for the same batch size. A
    batch is no larger than there are pictures.
    """

    gives_logits = True

    def __init__(
        self,
        chosen: options.Prediction,
        parts: Any,
        runtime: startup.Runtime,
        checkpoint: str,
        paths: Sequence[str],
    ) -> None:
        """Builds it; `parts` is a `lookup.Predictor`. CheckpointError: it is of another network."""
        self._runtime, self._parts, self._checkpoint = runtime, parts, checkpoint
        self.class_names = parts.class_names
        with tf.Graph().as_default() as self._graph:
            self._feed = _Feed(chosen.input, parts, paths)
            with tf.device(runtime.device.name):
                network_fn = precision.adapt_network(
                    runtime.device.kind, runtime.dtype, parts.network.function
                )
                logits, _ = network_fn(self._feed.images)
                self._logits = tf.cast(logits, tf.float32)
            self._weights = weights.of_checkpoint(checkpoint, chosen.averages.moving_average_decay)

    @property
    def notes(self) -> list[str]:
        """What predicts, and how pictures are computed."""
        step = files.global_step(self._checkpoint)
        what = f'{errors.printable(self._checkpoint)}, step {step}: its {self._weights.note}'
        return [what, *filter(None, [self._parts.input_note])]

    def reason(self, path: str) -> str:
        """Why a picture cannot be read; '' where it can."""
        return _reason(self._parts, path)

    def scores(self) -> Scores:
        """Of every picture; DataError names one that cannot be read."""
        with tf.Session(graph=self._graph, config=self._runtime.session_config()) as session:
            session.run(tf.tables_initializer())
            files.restore(self._weights.saver, session, self._checkpoint)
            yield from self._feed.run(session, self._logits)


class OfFile:
    """A network in an exported file, whatever its form."""

    def __init__(
        self, chosen: options.Prediction, parts: Any, model: exported.Exported, paths: Sequence[str]
    ) -> None:
        """`parts` is a `lookup.Predictor` for the file."""
        self._chosen, self._parts, self._model, self._paths = chosen, parts, model, paths
        self.class_names = parts.class_names
        self.gives_logits = model.output == 'logits'
        if model.about is None and _are_shares(_outputs(model)):
            self.gives_logits = False

    @property
    def notes(self) -> list[str]:
        """What predicts, and how pictures are computed."""
        what = f'{errors.printable(self._model.path)}, {self._model.kind}'
        return [what, *filter(None, [self._parts.input_note])]

    def reason(self, path: str) -> str:
        """Why a picture cannot be read; '' where it can."""
        return _reason(self._parts, path)

    def scores(self) -> Scores:
        """Of every picture; DataError names one that cannot be read."""
        if self._model.takes == exported.IMAGE_BYTES:
            yield from self._of_bytes()
            return
        with tf.Graph().as_default():
            feed = _Feed(self._chosen.input, self._parts, self._paths)
            with tf.Session() as session:
                for numbers, images in feed.run(session, feed.images):
                    yield numbers, self._model.run(images)

    def _of_bytes(self) -> Scores:
        size, skip = self._chosen.input.batch_size, self._chosen.input.on_data_error == 'skip'
        for begin in range(0, len(self._paths), size):
            numbers = list(range(begin, min(begin + size, len(self._paths))))
            try:
                scores = self._model.run([_content(self._paths[number]) for number in numbers])
            except (tf.errors.OpError, errors.SuiteError, OSError, ValueError) as error:
                reasons = {number: self.reason(self._paths[number]) for number in numbers}
                bad = [number for number in numbers if reasons[number]]
                if not bad:
                    raise
                if not skip:
                    path = self._paths[bad[0]]
                    raise pictures.cannot_be_read(path, reasons[bad[0]]) from error
                numbers = [number for number in numbers if not reasons[number]]
                if not numbers:
                    continue
                scores = self._model.run([_content(self._paths[number]) for number in numbers])
            yield np.array(numbers), scores


def count_classes(model: exported.Exported) -> int:
    """Outputs of an exported network. CheckpointError where they are no classes."""
    if model.output in (exported.DETECTIONS, exported.ALL_BOXES):
        raise errors.CheckpointError(
            f'{errors.shortened(model.path, 120)} finds boxes, not classes of a whole picture: '
            'docs/detection.md shows how it is run'
        )
    if model.output == 'features':
        raise errors.CheckpointError(
            f'{errors.shortened(model.path, 120)} gives features, not classes: export it with '
            '--output=logits'
        )
    return _outputs(model).shape[-1]


def _outputs(model: exported.Exported) -> np.ndarray:
    """What it gives for one picture of nothing."""
    if model.takes == exported.IMAGE_BYTES:
        black = io.BytesIO()
        Image.new('RGB', (64, 64)).save(black, 'JPEG')
        return model.run([black.getvalue()])
    size = model.image_size or _SIDE
    shape = [side or size for side in model.image_shape]
    return model.run(np.zeros([1, *shape], np.float32))


def _are_shares(scores: np.ndarray) -> bool:
    """Whether a file of some other program gives probabilities."""
    return bool((scores >= 0).all() and np.allclose(scores.sum(axis=-1), 1, atol=0.02))


def _content(path: str) -> bytes:
    with open(path, 'rb') as file:
        return file.read()


def _reason(parts: Any, path: str) -> str:
    size = parts.network.image_size
    return pictures.reason(path, parts.preprocess, size, parts.image_kind)


class _Feed:
    """The pictures as batches in the default graph."""

    def __init__(
        self,
        flags: options.PredictionInputOptions,
        parts: Any,
        paths: Sequence[str],
    ) -> None:
        self._paths, self._parts = paths, parts
        self._batch = BatchFormat(
            min(flags.batch_size, len(paths)),
            parts.network.image_size,
            parallel_decodes=flags.num_preprocessing_threads,
        )
        with tf.device('/device:CPU:0'):
            self._placeholder = tf.placeholder(tf.string, [None], name='paths')
            pipeline = pictures.batches(
                self._placeholder, parts.preprocess, self._batch, flags.on_data_error == 'skip'
            )
            self._iterator = tf.data.make_initializable_iterator(pipeline)
            self.images, self.numbers = self._iterator.get_next()

    def run(self, session: tf.Session, outputs: Any) -> Scores:
        paths = [os.fsencode(path) for path in self._paths]
        session.run(self._iterator.initializer, {self._placeholder: paths})
        done = 0
        try:
            while True:
                numbers, found = session.run((self.numbers, outputs))
                real = pictures.is_real(numbers)
                yield numbers[real], found[real]
                done = int(numbers[real][-1]) + 1
        except tf.errors.OutOfRangeError:
            return
        except pictures.INPUT_ERRORS as error:
            for path in self._paths[done : done + self._batch.batch_size]:
                wrong = _reason(self._parts, path)
                if wrong:
                    raise pictures.cannot_be_read(path, wrong) from error
            raise
