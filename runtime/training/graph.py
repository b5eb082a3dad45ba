"""The parts of a training graph. Each is built after the one above it; the reasons are below.

1. `begin`: seed and global step.
2. `add_input`: this worker's batches.
3. `add_clones`: the network and its losses, once per clone.
4. `rewrite_forward_pass`: before there are gradients, which would keep what is replaced.
5. `add_step`: gradients, precision (which needs them), update, and a loop around it all.
6. `add_recalibration`: what is done once more after the last step.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from deployment import model_deploy
from runtime import options, startup
from runtime.checkpoints import averages, comparison
from runtime.devices import precision
from runtime.input import feed, inputs, mixing
from runtime.training import (
    accumulation,
    batch_norm,
    classification,
    clipping,
    cross_replica,
    loss_scale,
    optimizers,
    randomness,
    repetition,
    schedules,
)
from runtime.training.step import Step, Update, build_step, loss_parts_of
from runtime.workers.cluster import Cluster


def begin(chosen: options.Training) -> tuple[model_deploy.DeploymentConfig, tf.Variable]:
    """Seeds the default graph; returns where its parts go, and the global step."""
    tf.set_random_seed(chosen.run.seed)
    places = model_deploy.DeploymentConfig(chosen.clones.num_clones, chosen.clones.clone_on_cpu)
    # On the host: an HPU has no int64.
    with tf.device(places.inputs_device()):
        return places, tf.train.create_global_step()


def add_input(
    chosen: options.Training,
    parts: Any,
    runtime: startup.Runtime,
    first_step: int,
    places: model_deploy.DeploymentConfig,
) -> feed.Feed:
    """This worker's batches, from the images of `first_step` on; `parts` is a `lookup.Parts`."""
    batch = inputs.BatchFormat(
        chosen.input.batch_size,
        parts.network.image_size,
        chosen.dataset.labels_offset,
        chosen.input.num_preprocessing_threads,
        precision.image_type(runtime.device.kind, runtime.dtype),
        chosen.input.deterministic,
        *batches_wait_on(chosen, runtime, places),
    )
    order = training_order(chosen, runtime, first_step)
    mixer = mixing.mixer(chosen.augmentation, parts.network.num_classes, chosen.run.seed)
    with tf.device(places.inputs_device()):
        return feed.Feed(parts.dataset, parts.preprocess, batch, order, mixer)


def batches_wait_on(
    chosen: options.Training | options.DetectionTraining,
    runtime: startup.Runtime,
    places: model_deploy.DeploymentConfig,
) -> tuple[str, int]:
    """The device on which the next batches wait, and how many: `device`, `device_prefetch`.

    Several clones take theirs in turn from one line, which waits on the host.
    """
    alone = places.num_clones == 1 and not places.clone_on_cpu
    return places.clone_device(0), runtime.prefetched(chosen.input.device_prefetch) if alone else 0


def training_order(
    chosen: options.Training | options.DetectionTraining, runtime: startup.Runtime, first_step: int
) -> inputs.TrainingOrder:
    """Which records this worker's batches have, from `first_step` on."""
    reading = inputs.Reading(
        chosen.input.num_readers,
        chosen.input.cache,
        skip_damaged=chosen.input.on_data_error == 'skip',
    )
    return inputs.TrainingOrder(
        chosen.run.seed,
        first_step,
        chosen.clones.num_clones * chosen.run.accumulate_steps,
        inputs.Shard(runtime.cluster.rank, runtime.cluster.size),
        reading,
    )


def add_clones(
    chosen: options.Training,
    runtime: startup.Runtime,
    parts: Any,
    batches: feed.Feed,
    places: model_deploy.DeploymentConfig,
) -> list[model_deploy.Clone]:
    """The network and its losses on each device; `parts` is a `lookup.Parts`."""
    network = parts.network
    arguments = [
        batches.next_batch,
        precision.adapt_network(runtime.device.kind, runtime.dtype, network.function),
        network.num_classes,
        chosen.network.label_smoothing,
    ]
    return model_deploy.create_clones(places, classification.training_clone, arguments)


def rewrite_forward_pass(
    chosen: options.Training, cluster: Cluster, global_step: tf.Variable
) -> Any:
    """Random draws become functions of the step; batch norm sees what it is asked to.

    Returns what the draws follow.
    """
    losses = tf.losses.get_losses()
    in_parts = chosen.run.accumulate_steps > 1
    number = accumulation.draw_number(global_step) if in_parts else global_step
    randomness.make_draws_follow_step(losses, number, chosen.run.seed + cluster.rank)
    if chosen.tuning.freeze_batch_norm:
        batch_norm.freeze()
    if chosen.workers.cross_replica_batch_norm:
        cross_replica.share_batch_moments(losses, cluster)
    return number


def moving_statistics(
    clones: list[model_deploy.Clone],
) -> list[batch_norm.MovingStatistic]:
    """Those of batch norm in the first clone, whose updates a step runs."""
    return batch_norm.moving_statistics(tf.get_collection(tf.GraphKeys.UPDATE_OPS, clones[0].scope))


def add_step(
    chosen: options.Training,
    runtime: startup.Runtime,
    schedule: schedules.Schedule,
    clones: list[model_deploy.Clone],
    batches: feed.Feed,
    places: model_deploy.DeploymentConfig,
    statistics: Sequence[batch_norm.MovingStatistic] = (),
    draws_follow: Any = None,
) -> Step:
    """Gradients, precision and the update: what one run of the session does.

    For --accumulate_steps: `statistics`, those of the first clone's updates; `draws_follow`, of
    `rewrite_forward_pass`.
    """
    global_step = tf.train.get_global_step()
    update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS, clones[0].scope)
    moving_averages = averages.moving_averages(chosen.averages.moving_average_decay)
    with tf.device(places.optimizer_device()):
        learning_rate = schedule.tensor(global_step)
        beside = optimizers.Beside(schedule.first_rate, chosen.network.weight_decay)
        optimizer = optimizers.optimizer(chosen.optimizer, learning_rate, beside)
        learned = comparison.within_scopes(tf.trainable_variables(), chosen.tuning.trainable_scopes)
        scale = loss_scale.LossScale() if precision.scales_loss(runtime.dtype) else None
        total_loss, gradients = model_deploy.optimize_clones(
            clones, optimizer, var_list=learned, grad_loss=scale.value if scale else None
        )
        total_loss, kept = precision.adapt_training_graph(
            runtime.device.kind, runtime.dtype, total_loss
        )
        one = accumulation.Pass(total_loss, loss_parts_of(total_loss), gradients, batches.tensors())
        if chosen.run.accumulate_steps > 1:
            one = accumulation.over_parts(
                one, update_ops, statistics, chosen.run.accumulate_steps, draws_follow
            )
            kept = []  # What runs is a copy of them, which has no name.
        update = Update(
            optimizer,
            one.gradients,
            update_ops,
            moving_averages,
            kept,
            chosen.run.on_nan == 'skip',
            scale,
            functools.partial(clipping.clipped, chosen.optimizer),
        )
        step = build_step(
            global_step,
            one.loss,
            learning_rate,
            update,
            runtime.cluster,
            one.fed,
            one.losses,
        )
    most = chosen.run.steps_per_run
    return repetition.repeated(step, most) if most > 1 else step


def add_recalibration(
    chosen: options.Training,
    statistics: Sequence[batch_norm.MovingStatistic],
    step: Step,
    batches: feed.Feed,
    places: model_deploy.DeploymentConfig,
    cluster: Cluster,
) -> batch_norm.Recalibration | None:
    """Of the statistics of batch norm at the end of the run; None where it is not asked for."""
    count = chosen.run.recalibrate_batch_norm
    if not count:
        return None
    with tf.device(places.inputs_device()):
        images = batches.first_images(count)
        return batch_norm.Recalibration(
            statistics, step.averages, cluster, batches.images[0], images
        )
