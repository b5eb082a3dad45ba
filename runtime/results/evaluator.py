"""One exact pass over a split: every record once, in batches of static shape."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from runtime import folders, options, startup
from runtime.checkpoints import files, sidecar, weights
from runtime.devices import xla
from runtime.input import input_errors
from runtime.training import classification, event_file, monitor
from runtime.workers import cluster as cluster_lib
from slim import errors

# An error of the input pipeline and the batches before it, to a line for the user.
Explain = Callable[[Exception, int], str]

_ALONE = cluster_lib.SingleProcess()
RESULT_FILE = 'eval_results.json'


@dataclasses.dataclass(frozen=True)
class Result:
    """The outcome of an evaluation."""

    checkpoint: str
    step: int
    images: int  # evaluated
    expected_images: int  # in the split
    accuracy: float
    recall_5: float
    loss: float | None = None  # mean cross entropy


@dataclasses.dataclass(frozen=True)
class Part:
    """What one worker evaluates."""

    files: tuple[str, ...]
    max_batches: int | None  # None: all of the files


@dataclasses.dataclass(frozen=True)
class Share:
    """The same as it stands in the graph."""

    counts: classification.Counts  # of the next batch
    weights: weights.Weights  # to restore
    max_batches: int | None = None
    explain: Explain | None = None  # None: in TensorFlow's words
    kept: Any = None  # a reports.rows.Collector, which gets the rows of each batch


def evaluate(
    checkpoint: str,
    share: Share | None,
    expected_images: int,
    cluster: cluster_lib.Cluster = _ALONE,
    session_config: tf.ConfigProto | None = None,
    master: str = '',
    compiled: bool = False,
) -> Result:
    """Restores the checkpoint and counts until the records of the share end, or its batches.

    Many workers count each for itself; only the sums meet, so they need not have equally many
    records. The result is that of all.

    Args:
      checkpoint: its prefix.
      share: of this worker; None for one that has no records.
      expected_images: in the split.
      cluster: the workers.
      session_config: of the session.
      master: its target.
      compiled: XLA compiles the batch, which the first worker tells.

    Raises:
      DataError: a record that cannot be used, or no record at all.
      DeviceError: the device has not enough memory, or XLA fails.
    """
    mine: tuple[float, ...] = (0, 0, 0, 0.0)
    if share and share.max_batches != 0:
        session = tf.Session(master, config=session_config)
        try:
            mine = _count(checkpoint, share, session, compiled, compiled and cluster.rank == 0)
        except tf.errors.OpError as error:
            failure = xla.failure(error)
            if isinstance(error, tf.errors.ResourceExhaustedError):
                failure = 'The memory of the device is not enough: lower --batch_size'
            if not failure:
                raise
            raise errors.DeviceError(failure) from error
    images, top_1, top_5, loss = (
        sum(numbers) for numbers in zip(*cluster.gather(mine), strict=True)
    )
    if not images:
        raise errors.DataError('The split holds no records')
    return Result(
        checkpoint=checkpoint,
        step=files.global_step(checkpoint),
        images=images,
        expected_images=expected_images,
        accuracy=top_1 / images,
        recall_5=top_5 / images,
        loss=mean_loss(loss, images),
    )


def _count(
    checkpoint: str, share: Share, session: tf.Session, compiled: bool, told: bool
) -> tuple[float, ...]:
    """Images, those right in first, those right in five, and the sum of losses of this worker."""
    with session:
        session.run(tf.tables_initializer())
        files.restore(share.weights.saver, session, checkpoint)
        batches = each_batch(session, share.counts, share.explain, compiled, told, share.kept)
        counted = list(itertools.islice(batches, share.max_batches))
    return summed(counted)


def summed(counted: Iterable[Sequence[float]]) -> tuple[float, ...]:
    """The counts of batches or workers together."""
    return tuple(sum(numbers) for numbers in zip((0, 0, 0, 0.0), *counted, strict=True))


def mean_loss(total: float, images: float) -> float:
    """To six digits: those behind depend on the order of summing, and so on the workers."""
    return float(f'{total / images:.6g}')


def each_batch(
    session: tf.Session,
    counts: classification.Counts,
    explain: Explain | None,
    compiled: bool = False,
    told: bool = False,
    kept: Any = None,
) -> Iterator[tuple[float, ...]]:
    """`Counts.all` of one batch after the other, until the records end.

    Args:
      session: has its variables, and an iterator at its start.
      counts: of the next batch.
      explain: puts an error of the records into words.
      compiled: XLA compiles the first batch.
      told: this is said.
      kept: a reports.rows.Collector, which gets the rows of each batch.

    Raises:
      DataError: a record that cannot be used.
    """
    for batches in itertools.count():
        first = batches == 0
        if told and first:
            monitor.say('XLA compiles the batch')
            begun = time.monotonic()
        try:
            with startup.without_xla_chatter(compiled and first):
                (images, top_1, top_5, loss), rows = session.run(
                    (counts.all, kept.tensors if kept else ())
                )
        except tf.errors.OutOfRangeError:
            return  # The records have ended.
        except (tf.errors.InvalidArgumentError, tf.errors.DataLossError) as error:
            if xla.failure(error):
                raise
            explained = explain(error, batches) if explain else None
            raise errors.DataError(explained or input_errors.message(error)) from error
        if told and first:
            monitor.say(f'the first batch took {time.monotonic() - begun:.1f} s')
        if kept:
            kept.take(rows)
        yield int(images), int(top_1), int(top_5), float(loss)


def announcement(checkpoint: str, share: Share | None, network: str) -> str:
    """What is about to be evaluated; `network` describes it."""
    note = share.weights.note if share else 'weights'
    step = files.global_step(checkpoint)
    return f'evaluating {errors.printable(checkpoint)}, step {step}: its {note}\n{network}'


def facts(chosen: options.Evaluation, parts: Any, share: Share | None) -> dict[str, Any]:
    """What a number of this evaluation depends on; `parts` is a `lookup.Parts`."""
    return {
        'model_name': chosen.network.model_name,
        'num_classes': parts.network.num_classes,
        'image_size': parts.network.image_size,
        'preprocessing_name': chosen.input.preprocessing_name or chosen.network.model_name,
        'use_grayscale': chosen.input.use_grayscale,
        'labels_offset': chosen.dataset.labels_offset,
        'weights': share.weights.note if share else '',
        'dtype': chosen.device.dtype,
        'dataset_name': parts.dataset.name,
        'dataset_split_name': parts.dataset.split_name,
        'suite_version': sidecar.SUITE_VERSION,
        'tensorflow_version': tf.__version__,
    }


def publish(result: Result, folder: str, about: Mapping[str, Any] | None = None) -> None:
    """Prints the result; `folder` gets it as eval_results.json and TensorBoard summaries.

    `images: N/M` counts what was evaluated and what the split should hold. The JSON gets the values
    of `about`, too. Raises OutputError where the folder does not take it.
    """
    print(f'images: {result.images}/{result.expected_images}')
    print(f'Accuracy: {result.accuracy:.4f}')
    print(f'Recall_5: {result.recall_5:.4f}', flush=True)
    values = {**dataclasses.asdict(result), **(about or {})}
    path = os.path.join(folder, RESULT_FILE)
    folders.write_text(path, json.dumps(values, indent=1) + '\n')
    tags = {'Accuracy': result.accuracy, 'Recall_5': result.recall_5}
    if result.loss is not None:
        tags['loss'] = result.loss
    # The suite that the Gaudi fork came from wrote them below eval/.
    tags.update({f'eval/{tag}': value for tag, value in tags.items()})
    with contextlib.closing(event_file.EventFile(folder)) as writer:
        monitor.write_scalars(writer, tags, result.step)


def part_of_worker(files: Sequence[str], max_batches: int | None, rank: int, size: int) -> Part:
    """The files and batches of one worker: every file is read by one worker, whole."""
    return Part(
        tuple(files[rank::size]),
        None if max_batches is None else len(range(rank, max_batches, size)),
    )


def check_complete(images: int, expected: int) -> None:
    """DataError where a whole pass saw another number of records than the split should hold.

    TensorFlow takes a file that is cut off at a record's head for one that ends there.
    """
    if images != expected:
        raise errors.DataError(
            f'The records hold {images} images, but the split should have '
            f'{expected}: complete the files, or describe them in a dataset.json'
        )
