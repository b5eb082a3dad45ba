"""Evaluates an image classifier on TFRecords, every record exactly once: top-1 and top-5.

  python3 eval_image_classifier.py --dataset_dir=/data/imagenet --checkpoint_path=/tmp/run
  mpirun -np 2 python3 eval_image_classifier.py --use_horovod ...

With --eval_interval_secs it follows a run, and evaluates each checkpoint as it comes.
Prints `images: N/N`, Accuracy and Recall_5; --eval_dir gets them as JSON and TensorBoard summaries;
--report_dir gets a report: classes, confusions, the worst mistakes, calibration, every prediction.
Network, preprocessing, image size and labels are those that the checkpoint was trained with, where
the file beside it (PREFIX.json) says so.
Exit codes: 0 done, 1 failure, 2 wrong command line, 3 data, 5 device.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from runtime import app, flags, options, startup

flags.define(options.Evaluation)


def main() -> int:
    """Reads the flags and evaluates; returns the exit code."""
    chosen = flags.read(options.Evaluation)
    flags.require('dataset_dir', 'folder of the TFRecord files')
    runtime = startup.start(chosen.device, chosen.workers)
    chosen = runtime.with_threads(chosen, flags.chosen_by_user())

    from runtime.results import following

    return following.evaluate_each(chosen, runtime.cluster, lambda one: evaluate(one, runtime))


def evaluate(
    chosen: options.Evaluation, runtime: startup.Runtime, given: Collection[str] | None = None
) -> int:
    """The walk from record files and checkpoint to counts; returns the exit code.

    What is not among the `given` flags (None: those of the command line) comes from the
    checkpoint's sidecar, where it has one.
    """
    import tensorflow.compat.v1 as tf

    from runtime import folders, lookup
    from runtime.checkpoints import settling
    from runtime.results import evaluation_graph, evaluator
    from runtime.results.reports import report, rows
    from runtime.workers import agreement

    # Everything that can be wrong is looked up before anything is built or written.
    cluster, run = runtime.cluster, chosen.run
    given = flags.chosen_by_user() if given is None else given
    lookup.check_names(chosen.network.model_name, chosen.input.preprocessing_name)
    checkpoint, about = agreement.checkpoint(cluster, run.checkpoint_path, run.ignore_sidecar)
    chosen = settling.settle(chosen, given, about, lookup.same_preprocessing)
    name, preprocessing = chosen.network.model_name, chosen.input.preprocessing_name
    lookup.check_names(name, preprocessing, source=f'{checkpoint}.json')
    parts = lookup.for_evaluation(chosen)
    agreement.check_flags(cluster, chosen, parts.dataset.num_samples)
    doubt = settling.check_dataset(about, parts.dataset)
    agreement.on_rank_0(cluster, lambda: folders.check_writable(run.eval_dir, 'eval_dir'))
    if run.report_dir:
        report_dir = run.report_dir
        agreement.on_rank_0(cluster, lambda: report.check_folder(report_dir))
    if cluster.rank == 0:
        print('\n'.join(filter(None, [str(runtime), parts.input_note, doubt])), flush=True)

    with tf.Graph().as_default():
        share = evaluation_graph.add_share(chosen, parts, runtime, checkpoint)
        if cluster.rank == 0:
            folders.make_folder(run.eval_dir, 'eval_dir')
            network = lookup.shown(name, parts.network, preprocessing or name)
            print(evaluator.announcement(checkpoint, share, network), flush=True)
        result = evaluator.evaluate(
            checkpoint,
            share,
            parts.dataset.num_samples,
            cluster,
            runtime.session_config(),
            run.master,
            runtime.xla,
        )
    about = evaluator.facts(chosen, parts, share)
    if cluster.rank == 0:
        evaluator.publish(result, run.eval_dir, about)
    kept = rows.gather(cluster, share.kept if share else None) if run.report_dir else None
    if cluster.rank == 0:
        if chosen.input.max_num_batches is None and chosen.input.on_data_error != 'skip':
            evaluator.check_complete(result.images, result.expected_images)
        if run.report_dir and kept:
            told = {**dataclasses.asdict(result), **about}
            offset = chosen.dataset.labels_offset
            classes = parts.network.num_classes
            report.write(run.report_dir, kept, parts.dataset, classes, offset, told)
    return 0


if __name__ == '__main__':
    app.run(main)
