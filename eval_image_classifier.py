"""Evaluates an image classifier on TFRecords, every record exactly once: top-1 and top-5.

  python3 eval_image_classifier.py --dataset_dir=/data/imagenet --checkpoint_path=/tmp/run
  mpirun -np 2 python3 eval_image_classifier.py --use_horovod ...

Prints `images: N/N`, Accuracy and Recall_5; --eval_dir gets them as JSON and TensorBoard summaries.
Network, preprocessing, image size and labels are those that the checkpoint was trained with, where
the file beside it (PREFIX.json) says so.
Exit codes: 0 done, 1 failure, 2 wrong command line, 3 data, 5 device.
"""

from __future__ import annotations

from collections.abc import Collection

from runtime import app, flags, options, startup

flags.define(options.Evaluation)


def main() -> int:
    """Reads the flags and evaluates; returns the exit code."""
    chosen = flags.read(options.Evaluation)
    flags.require('dataset_dir', 'folder of the TFRecord files')
    return evaluate(chosen, startup.start(chosen.device, chosen.workers))


def evaluate(
    chosen: options.Evaluation, runtime: startup.Runtime, given: Collection[str] | None = None
) -> int:
    """The walk from record files and checkpoint to counts; returns the exit code.

    What is not among the `given` flags (None: those of the command line) comes from the
    checkpoint's sidecar, where it has one.
    """
    import tensorflow.compat.v1 as tf

    from runtime import folders, lookup
    from runtime.checkpoints import files, settling, weights
    from runtime.input import inputs
    from runtime.results import evaluator
    from runtime.training import classification
    from runtime.workers import agreement

    cluster = runtime.cluster
    lookup.check_names(chosen.network.model_name, chosen.input.preprocessing_name)
    checkpoint = agreement.on_rank_0(
        cluster, lambda: files.find(chosen.run.checkpoint_path, 'checkpoint_path')
    )
    about = agreement.sidecar_of(cluster, checkpoint, chosen.run.ignore_sidecar)
    given = flags.chosen_by_user() if given is None else given
    chosen = settling.settle(chosen, given, about, lookup.same_preprocessing)
    lookup.check_names(
        chosen.network.model_name, chosen.input.preprocessing_name, f'{checkpoint}.json'
    )
    parts = lookup.for_evaluation(chosen)
    dataset = parts.dataset
    agreement.check_flags(cluster, chosen, dataset.num_samples)
    doubt = settling.check_dataset(about, dataset)
    agreement.on_rank_0(cluster, lambda: folders.check_writable(chosen.run.eval_dir, 'eval_dir'))
    part = evaluator.part_of_worker(
        dataset.data_sources, chosen.input.max_num_batches, cluster.rank, cluster.size
    )
    batch = inputs.BatchFormat(
        chosen.input.batch_size,
        parts.network.image_size,
        chosen.dataset.labels_offset,
        chosen.input.num_preprocessing_threads,
    )
    preprocessing = chosen.input.preprocessing_name or chosen.network.model_name
    network = lookup.shown(chosen.network.model_name, parts.network, preprocessing)
    skip = chosen.input.on_data_error == 'skip'
    mine = dataset.only(part.files)

    if cluster.rank == 0:
        print('\n'.join(filter(None, [str(runtime), parts.input_note, doubt])), flush=True)
    with tf.Graph().as_default():
        counts = loaded = None
        if part.files:
            with tf.device('/device:CPU:0'):
                pipeline = inputs.evaluation_batches(mine, parts.preprocess, batch, skip)
                images, labels, real = tf.data.make_one_shot_iterator(pipeline).get_next()
            with tf.device(runtime.device.name):
                logits, _ = parts.network.function(images)
                counts = classification.count_correct(logits, labels, real)
            loaded = weights.of_checkpoint(checkpoint, chosen.averages.moving_average_decay)
        if cluster.rank == 0:
            folders.make_folder(chosen.run.eval_dir, 'eval_dir')
            print(evaluator.announcement(checkpoint, loaded, network), flush=True)
        result = evaluator.evaluate(
            checkpoint,
            loaded and loaded.saver,
            counts,
            dataset.num_samples,
            part.max_batches,
            chosen.run.master,
            runtime.session_config(),
            lambda error, batches: inputs.explain_evaluation(error, mine, batch, batches),
            cluster,
        )
    if cluster.rank == 0:
        facts = evaluator.facts(chosen, parts, preprocessing, loaded)
        evaluator.publish(result, chosen.run.eval_dir, facts)
        if chosen.input.max_num_batches is None and not skip:
            evaluator.check_complete(result)
    return 0


if __name__ == '__main__':
    app.run(main)
