"""Evaluates an image classifier on TFRecords, every record exactly once: top-1 and top-5.

  python3 eval_image_classifier.py --dataset_dir=/data/imagenet --checkpoint_path=/tmp/run
  mpirun -np 2 python3 eval_image_classifier.py --use_horovod ...

Prints `images: N/N`, Accuracy and Recall_5; --eval_dir gets them as JSON and TensorBoard summaries.
Exit codes: 0 done, 1 failure, 2 wrong command line.
"""

from __future__ import annotations

import dataclasses

from slim import app, flags, options, startup

flags.define(options.Evaluation)


def main() -> int:
    """Reads the flags and evaluates; returns the exit code."""
    chosen = flags.read(options.Evaluation)
    flags.require('dataset_dir', 'folder of the TFRecord files')
    return evaluate(chosen, startup.start(chosen.device, chosen.workers))


def evaluate(chosen: options.Evaluation, runtime: startup.Runtime) -> int:
    """The walk from record files and checkpoint to counts; returns the exit code."""
    import tensorflow.compat.v1 as tf

    from datasets import dataset_factory
    from datasets.records import example_format
    from nets import nets_factory
    from preprocessing import preprocessing_factory
    from slim import agreement, checkpoints, classification, evaluator, inputs

    cluster = runtime.cluster
    dataset = dataset_factory.get_dataset(
        chosen.dataset.dataset_name, chosen.dataset.dataset_split_name, chosen.dataset.dataset_dir
    )
    network_fn = nets_factory.get_network_fn(
        chosen.network.model_name, dataset.num_classes - chosen.dataset.labels_offset
    )
    name = chosen.input.preprocessing_name or chosen.network.model_name
    fused = chosen.input.fused_decoding and dataset.decode is example_format.decode_image
    custom_op, custom_op_note = preprocessing_factory.find_custom_op(
        name, fused, chosen.input.custom_image_op
    )
    preprocess = preprocessing_factory.get_encoded_preprocessing(
        name,
        dataset.decode,
        use_grayscale=chosen.input.use_grayscale,
        fused=fused,
        custom_op=custom_op,
    )
    agreement.check_flags(cluster, chosen, dataset.num_samples)
    checkpoint = agreement.on_rank_0(
        cluster, lambda: checkpoints.find(chosen.run.checkpoint_path, 'checkpoint_path')
    )
    agreement.on_rank_0(
        cluster, lambda: checkpoints.check_writable(chosen.run.eval_dir, 'eval_dir')
    )
    part = evaluator.part_of_worker(
        dataset.data_sources, chosen.input.max_num_batches, cluster.rank, cluster.size
    )
    batch = inputs.BatchFormat(
        chosen.input.batch_size,
        chosen.input.eval_image_size or network_fn.default_image_size,
        chosen.dataset.labels_offset,
        chosen.input.num_preprocessing_threads,
    )
    skip = chosen.input.on_data_error == 'skip'
    mine = dataclasses.replace(dataset, data_sources=part.files)

    if cluster.rank == 0:
        print('\n'.join(filter(None, [str(runtime), custom_op_note])), flush=True)
    with tf.Graph().as_default():
        counts = saver = None
        if part.files:
            with tf.device('/device:CPU:0'):
                pipeline = inputs.evaluation_batches(mine, preprocess, batch, skip)
                images, labels, real = tf.data.make_one_shot_iterator(pipeline).get_next()
            with tf.device(runtime.device.name):
                logits, _ = network_fn(images)
                counts = classification.count_correct(logits, labels, real)
            saver = checkpoints.evaluation_saver(checkpoint, chosen.averages.moving_average_decay)
        if cluster.rank == 0:
            checkpoints.make_folder(chosen.run.eval_dir, 'eval_dir')
        result = evaluator.evaluate(
            checkpoint,
            saver,
            counts,
            dataset.num_samples,
            part.max_batches,
            chosen.run.master,
            runtime.session_config(),
            lambda error, batches: inputs.explain_evaluation(error, mine, batch, batches),
            cluster,
        )
    if cluster.rank == 0:
        evaluator.publish(result, chosen.run.eval_dir)
        if chosen.input.max_num_batches is None and not skip:
            evaluator.check_complete(result)
    return 0


if __name__ == '__main__':
    app.run(main)
