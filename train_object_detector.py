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
from slim import errors

flags.define(options.DetectionTraining)


def main() -> int:
    """Reads the flags and trains; returns the exit code."""
    chosen = flags.read(options.DetectionTraining)
    flags.require('dataset_dir', 'folder of the TFRecord files')
    if chosen.workers.use_horovod and chosen.clones.num_clones > 1:
        raise errors.UsageError(
            '--num_clones with --use_horovod: one worker drives one device; start more workers'
        )
    if chosen.workers.use_horovod and chosen.run.steps_per_run > 1:
        raise errors.UsageError('--steps_per_run with --use_horovod: workers meet after each step')
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
    from runtime.training import announcement, detection, graph, loop, run_file, schedules
    from runtime.workers import agreement

    # Everything that can be wrong is looked up before anything is built or written.
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
    if origin.step >= length.total_steps:
        announcement.nothing_left(origin, cluster)
        return 0
    announcement.announce(chosen, runtime, length, schedule, parts.input_note)

    with tf.Graph().as_default():
        places, global_step = graph.begin(chosen)
        batches = detection.add_input(chosen, parts, runtime, origin.step, places)
        clones = detection.add_clones(chosen, runtime, parts, batches, places)
        graph.rewrite_forward_pass(chosen, cluster, global_step)
        step = graph.add_step(
            chosen,
            runtime,
            schedule,
            clones,
            batches,
            places,
            clip_norm=chosen.optimizer.clip_gradient_norm,
        )
        return loop.run(
            chosen,
            length,
            agreement.start(cluster, origin, chosen.tuning),
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
            compiled=runtime.xla,
        )


if __name__ == '__main__':
    app.run(main)
