"""Evaluates a detector on TFRecords: average precision of KITTI and of Pascal VOC.

  python3 eval_object_detector.py --dataset_dir=/data/kitti --checkpoint_path=/tmp/detector

Network, its width and the frame are those of the training, by the file beside the checkpoint; for
one without, the flags say them. KITTI's figures are printed where
the classes are KITTI's. --eval_dir gets all figures as JSON and TensorBoard summaries, and in data/
a result file for each picture, which KITTI's own tool reads; pictures.html shows the first ones.
With --eval_interval_secs it follows a run, and evaluates each checkpoint as it comes.
Exit codes: 0 done, 1 failure, 2 wrong command line, 3 data, 5 device.
"""

from __future__ import annotations

from collections.abc import Collection

from runtime import app, flags, options, startup

flags.define(options.DetectionEvaluation)


def main() -> int:
    """Reads the flags and evaluates; returns the exit code."""
    chosen = flags.read(options.DetectionEvaluation)
    flags.require('dataset_dir', 'folder of the TFRecord files')
    runtime = startup.start(chosen.device)
    given = flags.chosen_by_user()
    chosen = runtime.with_threads(chosen, given)

    from runtime.results import following

    return following.evaluate_each(
        chosen, runtime.cluster, lambda one: evaluate(one, runtime, given)
    )


def evaluate(
    chosen: options.DetectionEvaluation, runtime: startup.Runtime, given: Collection[str] = ()
) -> int:
    """The walk from record files and checkpoint to average precision; returns the exit code.

    What is not among the `given` flags comes from the checkpoint's sidecar, where it has one.
    """
    from runtime import detection_lookup, folders
    from runtime.checkpoints import files, settling, sidecar
    from runtime.results import detector, evaluator

    # Everything that can be wrong is looked up before anything is built or written.
    detection_lookup.check_name(chosen.network.model_name)
    checkpoint = files.find(chosen.run.checkpoint_path, 'checkpoint_path')
    about = None if chosen.run.ignore_sidecar else sidecar.read_detector(checkpoint)
    chosen = settling.settle(chosen, given, about)
    detection_lookup.check_name(chosen.network.model_name, f'{checkpoint}.json')
    parts = detection_lookup.for_evaluation(chosen)
    doubt = settling.check_names(about, parts.dataset)
    folders.check_writable(chosen.run.eval_dir, 'eval_dir')
    skip = chosen.input.on_data_error == 'skip'
    labels = detector.truths(parts.dataset, skip)
    print('\n'.join(filter(None, [str(runtime), parts.input_note, doubt])), flush=True)
    found = detector.find(chosen, parts, runtime, checkpoint)
    expected = parts.dataset.num_samples
    if not skip:
        evaluator.check_complete(len(found), expected)
    tags = detector.score(labels, found, parts.kinds, chosen.run.kitti_rules)
    about = options.values(chosen)
    detector.publish(tags, found, expected, checkpoint, chosen.run.eval_dir, about)
    number, folder = chosen.run.drawn_pictures, chosen.run.eval_dir
    detector.draw(labels, found, parts.dataset, number, folder, skip)
    return 0


if __name__ == '__main__':
    app.run(main)
