"""The graph of an evaluation: the share of one worker, from its record files to counts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from runtime import options, startup
from runtime.checkpoints import weights
from runtime.devices import precision
from runtime.input import inputs
from runtime.results import evaluator
from runtime.results.reports import rows
from runtime.training import classification


@dataclasses.dataclass(frozen=True)
class Counting:
    """Records of some files on their way to counts."""

    counts: classification.Counts  # of the next batch
    start: tf.Operation  # the records begin with the first one again
    explain: evaluator.Explain
    kept: rows.Collector | None = None  # which gets the rows of each batch


def add_share(
    chosen: options.Evaluation, parts: Any, runtime: startup.Runtime, checkpoint: str
) -> evaluator.Share | None:
    """Adds what this worker evaluates to the default graph.

    Every file is read by one worker, whole.

    Args:
      chosen: the flags.
      parts: the `lookup.Parts`: data set, network, preprocessing.
      runtime: the device, and which worker this is.
      checkpoint: prefix of the checkpoint whose weights are counted.

    Returns:
      The share; None where there are more workers than files.

    Raises:
      CheckpointError: the checkpoint is not of this network.
    """
    cluster, flags = runtime.cluster, chosen.input
    part = evaluator.part_of_worker(
        parts.dataset.data_sources, flags.max_num_batches, cluster.rank, cluster.size
    )
    if not part.files:
        return None
    with_rows = bool(chosen.run.report_dir)
    counting = add_counts(chosen, parts, runtime, part.files, with_rows)
    tf.add_to_collection(tf.GraphKeys.TABLE_INITIALIZERS, counting.start)
    return evaluator.Share(
        counting.counts,
        weights.of_checkpoint(checkpoint, chosen.averages.moving_average_decay),
        part.max_batches,
        counting.explain,
        counting.kept,
    )


def add_counts(
    chosen: options.Evaluation | options.Training,
    parts: Any,
    runtime: startup.Runtime,
    files: Sequence[str],
    with_rows: bool = False,
) -> Counting:
    """Adds input and network to the default graph, for some of the record files.

    Arguments otherwise as for `add_share`; `with_rows` keeps what a report needs of each image.
    """
    flags = chosen.input
    records = parts.dataset.only(files)
    batch = inputs.BatchFormat(
        flags.batch_size,
        parts.network.image_size,
        chosen.dataset.labels_offset,
        flags.num_preprocessing_threads,
        precision.image_type(runtime.device.kind, runtime.dtype),
        device=runtime.device.name,
        # What a report tells of an image has names, which stay on the host.
        device_prefetch=0 if with_rows else runtime.prefetched(flags.device_prefetch),
    )
    with tf.device('/device:CPU:0'):
        pipeline = inputs.evaluation_batches(
            records,
            parts.preprocess,
            batch,
            skip_damaged=flags.on_data_error == 'skip',
            placed=with_rows,
        )
        iterator = inputs.iterator(pipeline, batch)
        images, labels, real, *told = iterator.get_next()
    with tf.device(runtime.device.name):
        network_fn = precision.adapt_network(
            runtime.device.kind, runtime.dtype, parts.network.function
        )
        logits, _ = network_fn(images)
        counts = classification.count_correct(logits, labels, real)
        kept = None
        if with_rows:
            positions = [parts.dataset.data_sources.index(file) for file in files]
            kept = rows.Collector(rows.of_batch(logits, labels, told), positions)
    return Counting(
        counts,
        iterator.initializer,
        lambda error, batches: inputs.explain_evaluation(error, records, batch, batches),
        kept,
    )
