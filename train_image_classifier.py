"""Trains an image classifier from TFRecords: TF-Slim's training script on today's TensorFlow.

  python3 train_image_classifier.py --dataset_dir=/data/imagenet --train_dir=/tmp/run \\
      --model_name=mobilenet_v2 --max_number_of_steps=100000
  mpirun -np 2 python3 train_image_classifier.py --use_horovod ...

A second start with the same --train_dir resumes. Exit codes: 0 done, 1 failure, 2 wrong command
line, 128 + n ended by signal n (the step in progress is finished and saved first).
"""

from __future__ import annotations

from typing import Any

from slim import app, errors, flags, options, startup

flags.define(options.Training)


def main() -> int:
    """Reads the flags and trains; returns the exit code."""
    chosen = flags.read(options.Training)
    flags.require('dataset_dir', 'folder of the TFRecord files')
    if chosen.workers.use_horovod and chosen.clones.num_clones > 1:
        raise errors.UsageError(
            '--num_clones with --use_horovod: one worker drives one device; start more workers'
        )
    return train(chosen, startup.start(chosen.device, chosen.workers))


def train(chosen: options.Training, runtime: startup.Runtime) -> int:
    """The walk from record files to checkpoints; returns the exit code."""
    import tensorflow.compat.v1 as tf

    from deployment import model_deploy
    from slim import (
        agreement,
        checkpoints,
        classification,
        cross_replica,
        mixing,
        optimizers,
        precision,
        randomness,
        schedules,
        trainer,
    )

    # Everything that can be wrong is looked up before anything is built or written.
    mixing.check(chosen.augmentation, chosen.input.batch_size)
    dataset, network_fn, preprocess, custom_op_note = look_up(chosen)
    cluster = runtime.cluster
    agreement.check_flags(cluster, chosen, dataset.num_samples)
    length = trainer.run_length(chosen, dataset.num_samples, cluster.size)
    schedule = schedules.schedule(chosen.schedule, length, cluster.size)
    origin = agreement.origin(cluster, chosen.run.train_dir, chosen.tuning.checkpoint_path)
    if origin.step >= length.total_steps:
        if cluster.rank == 0:
            print(f'{origin.resume_from} is at step {origin.step}: raise --max_number_of_steps')
        return 0
    image_size = chosen.input.train_image_size or network_fn.default_image_size
    trainer.announce(chosen, runtime, length, schedule, custom_op_note)

    with tf.Graph().as_default():
        tf.set_random_seed(chosen.run.seed)
        deployment = model_deploy.DeploymentConfig(
            chosen.clones.num_clones, chosen.clones.clone_on_cpu
        )
        # On the host: an HPU has no int64.
        with tf.device(deployment.inputs_device()):
            global_step = tf.train.create_global_step()
        with tf.device(deployment.inputs_device()):
            feed = make_feed(chosen, dataset, preprocess, image_size, cluster, origin.step)
        num_classes = dataset.num_classes - chosen.dataset.labels_offset
        clones = model_deploy.create_clones(
            deployment,
            classification.training_clone,
            [feed.next_batch, network_fn, num_classes, chosen.network.label_smoothing],
        )
        losses = tf.losses.get_losses()
        randomness.make_draws_follow_step(losses, global_step, chosen.run.seed + cluster.rank)
        if chosen.workers.cross_replica_batch_norm:
            cross_replica.share_batch_moments(losses, cluster)
        update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS, clones[0].scope)
        averages = checkpoints.moving_averages(chosen.averages.moving_average_decay)
        with tf.device(deployment.optimizer_device()):
            learning_rate = schedule.tensor(global_step)
            optimizer = optimizers.optimizer(chosen.optimizer, learning_rate)
            total_loss, gradients = model_deploy.optimize_clones(
                clones,
                optimizer,
                var_list=checkpoints.within_scopes(
                    tf.trainable_variables(), chosen.tuning.trainable_scopes
                ),
            )
            total_loss, kept = precision.adapt_training_graph(
                runtime.device.kind, runtime.dtype, total_loss
            )
            update = trainer.Update(optimizer, gradients, update_ops, averages, kept)
            step = trainer.build_step(
                global_step, total_loss, learning_rate, update, cluster, feed.tensors()
            )
        start = agreement.start(cluster, origin, chosen.tuning)
        return trainer.run(
            chosen,
            length,
            start,
            step,
            cluster,
            runtime.session_config(),
            feed.explain,
            look_at_placement=runtime.device.kind != 'CPU',
        )


def look_up(chosen: options.Training) -> tuple[Any, Any, Any, str]:
    """The split, the network and the preprocessing that the flags name, and a note on the last."""
    from datasets import dataset_factory
    from datasets.records import example_format
    from nets import nets_factory
    from preprocessing import augmentation, preprocessing_factory

    dataset = dataset_factory.get_dataset(
        chosen.dataset.dataset_name, chosen.dataset.dataset_split_name, chosen.dataset.dataset_dir
    )
    network_fn = nets_factory.get_network_fn(
        chosen.network.model_name,
        dataset.num_classes - chosen.dataset.labels_offset,
        weight_decay=chosen.network.weight_decay,
        is_training=True,
        batch_norm_decay=chosen.network.batch_norm_decay,
    )
    name = chosen.input.preprocessing_name or chosen.network.model_name
    fused = chosen.input.fused_decoding and dataset.decode is example_format.decode_image
    custom_op, custom_op_note = preprocessing_factory.find_custom_op(
        name, fused, chosen.input.custom_image_op
    )
    preprocess = preprocessing_factory.get_encoded_preprocessing(
        name,
        dataset.decode,
        is_training=True,
        use_grayscale=chosen.input.use_grayscale,
        fused=fused,
        augment=augmentation.rand_augment(
            chosen.augmentation.randaugment_layers, chosen.augmentation.randaugment_magnitude
        ),
        custom_op=custom_op,
    )
    return (
        dataset,
        network_fn,
        augmentation.with_erasing(preprocess, chosen.augmentation.random_erasing),
        custom_op_note,
    )


def make_feed(
    chosen: options.Training,
    dataset: Any,
    preprocess: Any,
    image_size: int,
    cluster: Any,
    first_step: int,
) -> Any:
    """The training input of this worker."""
    from slim import feed, inputs, mixing

    return feed.Feed(
        dataset,
        preprocess,
        inputs.BatchFormat(
            chosen.input.batch_size,
            image_size,
            chosen.dataset.labels_offset,
            chosen.input.num_preprocessing_threads,
            chosen.input.deterministic,
        ),
        inputs.TrainingOrder(
            chosen.run.seed,
            first_step,
            chosen.clones.num_clones,
            inputs.Shard(cluster.rank, cluster.size),
            inputs.Reading(
                chosen.input.num_readers,
                chosen.input.cache,
                skip_damaged=chosen.input.on_data_error == 'skip',
            ),
        ),
        mixing.mixer(
            chosen.augmentation, dataset.num_classes - chosen.dataset.labels_offset, chosen.run.seed
        ),
    )


if __name__ == '__main__':
    app.run(main)
