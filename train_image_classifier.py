"""Trains an image classifier from TFRecords: TF-Slim's training script on today's TensorFlow.

  python3 train_image_classifier.py --dataset_dir=/data/imagenet --train_dir=/tmp/run \\
      --model_name=mobilenet_v2 --max_number_of_steps=100000
  mpirun -np 2 python3 train_image_classifier.py --use_horovod ...

A second start with the same --train_dir resumes. Exit codes: 0 done, 1 failure, 2 wrong command
line, 3 data, 4 a loss that is not finite, 5 device, 128 + n ended by signal n (the step in progress
is finished and saved first).
"""

from __future__ import annotations

from runtime import app, flags, options, startup
from runtime.devices import devices
from slim import errors

flags.define(options.Training)


def main() -> int:
    """Reads the flags and trains; returns the exit code."""
    chosen = flags.read(options.Training)
    flags.require('dataset_dir', 'folder of the TFRecord files')
    if chosen.workers.use_horovod and chosen.clones.num_clones > 1:
        raise errors.UsageError(
            '--num_clones with --use_horovod: one worker drives one device; start more workers'
        )
    if chosen.workers.use_horovod and chosen.run.steps_per_run > 1:
        raise errors.UsageError('--steps_per_run with --use_horovod: workers meet after each step')
    if chosen.run.accumulate_steps > 1 and chosen.run.steps_per_run > 1:
        raise errors.UsageError(
            '--accumulate_steps with --steps_per_run: both are loops in the graph; give one of them'
        )
    if chosen.run.accumulate_steps > 1 and chosen.workers.cross_replica_batch_norm:
        raise errors.UsageError(
            '--accumulate_steps with --cross_replica_batch_norm: workers meet once in an update'
        )
    if chosen.tuning.freeze_batch_norm and chosen.run.recalibrate_batch_norm:
        raise errors.UsageError(
            '--freeze_batch_norm keeps the statistics that --recalibrate_batch_norm computes anew: '
            'give one of them'
        )
    if chosen.tuning.freeze_batch_norm and chosen.workers.cross_replica_batch_norm:
        raise errors.UsageError(
            '--freeze_batch_norm uses no moments of a batch for --cross_replica_batch_norm to share'
        )
    runtime = startup.start(chosen.device, chosen.workers)
    devices.check_clones(chosen.clones)
    return train(runtime.with_threads(chosen, flags.chosen_by_user()), runtime)


def train(chosen: options.Training, runtime: startup.Runtime) -> int:
    """The walk from record files to checkpoints (docs/architecture.md); returns the exit code."""
    import tensorflow.compat.v1 as tf

    from runtime import lookup
    from runtime.checkpoints import sidecar, starting
    from runtime.input import mixing
    from runtime.training import announcement, batch_norm, graph, loop, run_file, schedules
    from runtime.workers import agreement

    # Everything that can be wrong is looked up before anything is built or written.
    mixing.check(chosen.augmentation, chosen.input.batch_size)
    parts = lookup.for_training(chosen)
    cluster, num_samples = runtime.cluster, parts.dataset.num_samples
    agreement.check_flags(cluster, chosen, num_samples)
    length = schedules.run_length(chosen, num_samples, cluster.size)
    schedule = schedules.schedule(chosen.schedule, length, cluster.size)
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
        batches = graph.add_input(chosen, parts, runtime, origin.step, places)
        clones = graph.add_clones(chosen, runtime, parts, batches, places)
        draws_follow = graph.rewrite_forward_pass(chosen, cluster, global_step)
        statistics = batch_norm.moving_statistics(
            tf.get_collection(tf.GraphKeys.UPDATE_OPS, clones[0].scope)
        )
        step = graph.add_step(
            chosen, runtime, schedule, clones, batches, places, statistics, draws_follow
        )
        recalibration = graph.add_recalibration(chosen, statistics, step, batches, places, cluster)
        start = agreement.start(cluster, origin, chosen.tuning)
        announcement.fine_tuning(
            start, chosen, lookup.shown(chosen.network.model_name, parts.network)
        )
        announcement.lagging_statistics(
            chosen, length, max((found.decay for found in statistics), default=0.0), cluster
        )
        return loop.run(
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
            about=sidecar.of_training(chosen, parts),
            compiled=runtime.xla,
            recalibration=recalibration,
        )


if __name__ == '__main__':
    app.run(main)
