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
from runtime.options import combinations

flags.define(options.Training)


def main() -> int:
    """Reads the flags and trains; returns the exit code."""
    chosen = flags.read(options.Training)
    flags.require('dataset_dir', 'folder of the TFRecord files')
    combinations.check(chosen)
    runtime = startup.start(chosen.device, chosen.workers)
    devices.check_clones(chosen.clones)
    return train(runtime.with_threads(chosen, flags.chosen_by_user()), runtime)


def train(chosen: options.Training, runtime: startup.Runtime) -> int:
    """The walk from record files to checkpoints (docs/architecture.md); returns the exit code."""
    import tensorflow.compat.v1 as tf

    from runtime import lookup
    from runtime.checkpoints import sidecar, starting
    from runtime.curves import at_the_end
    from runtime.input import mixing
    from runtime.results import validator
    from runtime.training import (
        announcement,
        graph,
        looks,
        loop,
        monitor,
        run_file,
        schedules,
        validation,
    )
    from runtime.workers import agreement

    # Everything that can be wrong is looked up before anything is built or written.
    mixing.check(chosen.augmentation, chosen.input.batch_size)
    looks.check(chosen)
    parts = lookup.for_training(chosen)
    validated = lookup.for_validation(chosen, parts)
    cluster, num_samples = runtime.cluster, parts.dataset.num_samples
    agreement.check_flags(cluster, chosen, num_samples)
    note = parts.input_note
    if validated:
        images = validated.dataset.num_samples
        agreement.check_flags(cluster, chosen, images)
        note = '\n'.join(filter(None, [note, validation.announcement(chosen.validation, images)]))
    length = schedules.run_length(chosen, num_samples, cluster.size)
    schedule = schedules.schedule(chosen.schedule, length, cluster.size)
    origin = agreement.origin(
        cluster, chosen.run.train_dir, chosen.tuning.checkpoint_path, chosen.run.strict_resume
    )
    starting.check_frozen(origin, chosen.tuning)
    held = agreement.best_validation(cluster, chosen, origin.step)
    if validation.nothing_left(chosen.validation, length, origin.step, held):
        why = held.end(chosen.validation) if held else ''
        announcement.nothing_left(origin, cluster, why)
        return 0
    announcement.announce(chosen, runtime, length, schedule, note)

    with tf.Graph().as_default():
        places, global_step = graph.begin(chosen)
        batches = graph.add_input(chosen, parts, runtime, origin.step, places)
        clones = graph.add_clones(chosen, runtime, parts, batches, places)
        draws_follow = graph.rewrite_forward_pass(chosen, cluster, global_step)
        statistics = graph.moving_statistics(clones)
        step = graph.add_step(
            chosen, runtime, schedule, clones, batches, places, statistics, draws_follow
        )
        recalibration = graph.add_recalibration(chosen, statistics, step, batches, places, cluster)
        validations = None
        if validated:
            evaluate = validator.add(chosen, validated, runtime, step.averages)
            validations = validation.Validation(chosen.validation, length, evaluate, held)
        start = agreement.start(cluster, origin, chosen.tuning)
        announcement.fine_tuning(
            start, chosen, lookup.shown(chosen.network.model_name, parts.network)
        )
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
            about=sidecar.of_training(chosen, parts),
            compiled=runtime.xla,
            validations=validations,
            seen=looks.add(chosen, batches.images[0], clones[0].outputs, step.fetches),
            recalibration=recalibration,
        )
    if cluster.rank == 0 and exit_code == 0 and chosen.run.plot_curves:
        at_the_end.draw(chosen.run.train_dir, monitor.say)
    return exit_code


if __name__ == '__main__':
    app.run(main)
