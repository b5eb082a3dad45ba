"""Trains a detector of objects from TFRecords: a SqueezeDet-like head on a MobileNet.

  python3 train_object_detector.py --dataset_dir=/data/kitti --train_dir=/tmp/detector
  python3 train_object_detector.py --dataset_dir=/tmp/scenes --dataset_name=scenes \\
      --model_name=mobilenet_v2 --checkpoint_path=/data/mobilenet_v2 --ignore_missing_vars

A second start with the same --train_dir resumes. Exit codes: 0 done, 1 failure, 2 wrong command
line, 3 data, 4 a loss that is not finite, 5 device, 128 + n ended by signal n (the step in progress
is finished and saved first).
"""

from __future__ import annotations

from collections.abc import Collection

from runtime import app, flags, options, startup
from runtime.devices import devices
from runtime.options import combinations

flags.define(options.DetectionTraining)


def main() -> int:
    """Reads the flags and trains; returns the exit code."""
    chosen = flags.read(options.DetectionTraining)
    flags.require('dataset_dir', 'folder of the TFRecord files')
    combinations.check(chosen)
    runtime = startup.start(chosen.device, chosen.workers)
    devices.check_clones(chosen.clones)
    given = flags.chosen_by_user()
    return train(runtime.with_threads(chosen, given), runtime, given)


def train(
    chosen: options.DetectionTraining, runtime: startup.Runtime, given: Collection[str] = ()
) -> int:
    """The walk from record files to checkpoints; `given`: flags of the user. Returns the code."""
    import tensorflow.compat.v1 as tf

    from runtime import detection_lookup
    from runtime.checkpoints import sidecar, starting
    from runtime.curves import at_the_end
    from runtime.training import (
        announcement,
        detection,
        graph,
        looks,
        loop,
        monitor,
        run_file,
        schedules,
    )
    from runtime.workers import agreement

    # Everything that can be wrong is looked up before anything is built or written.
    looks.check(chosen)
    parts = detection_lookup.for_training(chosen)
    cluster, num_samples = runtime.cluster, parts.dataset.num_samples
    agreement.check_flags(cluster, chosen, num_samples)
    length = schedules.run_length(chosen, num_samples, cluster.size)
    planned = chosen.schedule
    if 'num_epochs_per_decay' not in given:
        planned = schedules.decaying_every(planned, planned.decay_every_n_steps, length)
    schedule = schedules.schedule(planned, length, cluster.size)
    origin = agreement.origin(
        cluster, chosen.run.train_dir, chosen.tuning.checkpoint_path, chosen.run.strict_resume
    )
    starting.check_frozen(origin, chosen.tuning)
    if origin.step >= length.total_steps:
        announcement.nothing_left(origin, cluster)
        return 0
    announcement.announce(chosen, runtime, length, schedule, parts.input_note)

    with tf.Graph().as_default():
        places, global_step = graph.begin(chosen)
        batches = detection.add_input(chosen, parts, runtime, origin.step, places)
        clones = detection.add_clones(chosen, runtime, parts, batches, places)
        draws_follow = graph.rewrite_forward_pass(chosen, cluster, global_step)
        statistics = graph.moving_statistics(clones)
        step = graph.add_step(
            chosen, runtime, schedule, clones, batches, places, statistics, draws_follow
        )
        recalibration = graph.add_recalibration(chosen, statistics, step, batches, places, cluster)
        start = agreement.start(cluster, origin, chosen.tuning)
        announcement.lagging_statistics(chosen, length, statistics, cluster)
        exit_code = loop.run(
            chosen,
            length,
            start,
            step,
            cluster,
            runtime.session_config(),
            batches.explain,
            look_at_placement=runtime.device.kind != 'CPU',
            facts=run_file.facts(
                options.values(chosen),
                runtime,
                parts.dataset,
                str(chosen.dataset.dataset_dir),
                origin.step,
            ),
            about=sidecar.of_detector(chosen, parts),
            compiled=runtime.xla,
            seen=looks.add(chosen, batches.images[0], clones[0].outputs, step.fetches),
            recalibration=recalibration,
        )
    if cluster.rank == 0 and exit_code == 0 and chosen.run.plot_curves:
        at_the_end.draw(chosen.run.train_dir, monitor.say)
    return exit_code


if __name__ == '__main__':
    app.run(main)
