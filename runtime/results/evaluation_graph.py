"""The graph of an evaluation: the share of one worker, from its record files to counts."""

from __future__ import annotations

from typing import Any

import tensorflow.compat.v1 as tf

from runtime import options, startup
from runtime.checkpoints import weights
from runtime.devices import precision
from runtime.input import inputs
from runtime.results import evaluator
from runtime.results.reports import rows
from runtime.training import classification


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
    records = parts.dataset.only(part.files)
    batch = inputs.BatchFormat(
        flags.batch_size,
        parts.network.image_size,
        chosen.dataset.labels_offset,
        flags.num_preprocessing_threads,
        precision.image_type(runtime.device.kind, runtime.dtype),
    )
    with tf.device('/device:CPU:0'):
        pipeline = inputs.evaluation_batches(
            records,
            parts.preprocess,
            batch,
            skip_damaged=flags.on_data_error == 'skip',
            placed=bool(chosen.run.report_dir),
        )
        images, labels, real, *told = tf.data.make_one_shot_iterator(pipeline).get_next()
    with tf.device(runtime.device.name):
        network_fn = precision.adapt_network(
            runtime.device.kind, runtime.dtype, parts.network.function
        )
        logits, _ = network_fn(images)
        counts = classification.count_correct(logits, labels, real)
        kept = None
        if chosen.run.report_dir:
            positions = [parts.dataset.data_sources.index(file) for file in part.files]
            kept = rows.Collector(rows.of_batch(logits, labels, told), positions)
    return evaluator.Share(
        counts,
        weights.of_checkpoint(checkpoint, chosen.averages.moving_average_decay),
        part.max_batches,
        lambda error, batches: inputs.explain_evaluation(error, records, batch, batches),
        kept,
    )
