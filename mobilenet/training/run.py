"""A run: the parts are put together, the folder is taken, the loop runs, the end is told."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf
import tf_keras

from mobilenet import dataset_loader
from mobilenet.configs.dataset import DatasetConfig
from mobilenet.training import engine as engine_lib
from mobilenet.training import loop as loop_lib
from mobilenet.training import options, record, replicas, state
from runtime import folders, startup
from runtime.input import input_errors, inputs
from runtime.results import evaluator
from runtime.training import monitor, run_file, stopping
from runtime.workers import agreement
from slim import errors

NO_EVALUATION = 'none'
_OF_RECORDS = (
    tf.errors.InvalidArgumentError,
    tf.errors.DataLossError,
    tf.errors.NotFoundError,
)


def train(
    chosen: options.Trainer,
    runtime: startup.Runtime,
    config: DatasetConfig,
    make_model: Callable[[], tf_keras.Model],
    make_optimizer: Callable[[int, int], Any],
    compared: dict[str, Any],
) -> tuple[tf_keras.callbacks.History, int]:
    """Trains as the options say; returns the history and the exit code.

    Args:
      chosen: the options.
      runtime: device and workers.
      config: of the data set, as `dataset_loader.located` returns it.
      make_model: builds the network.
      make_optimizer: of the images in a step and the steps in an epoch.
      compared: flags to name where a resumed run has other ones.

    Raises:
      SuiteError: one line for the user.
    """
    classic, further, cluster = chosen.classic, chosen.further, runtime.cluster
    # Everything that can be wrong is looked up before anything is built or written.
    if further.plot:
        record.check_plot()
    train_split = dataset_loader.open_split(config.replace(split='train'))
    # Where there is no dataset.json, the records may have been counted.
    config = config.replace(num_examples=train_split.records.num_samples)
    eval_split = None
    if config.eval_split != NO_EVALUATION:
        eval_split = dataset_loader.open_split(config.replace(split=config.eval_split))
    agreement.check_flags(cluster, chosen, train_split.records.num_samples)
    _settle_devices(runtime)
    strategy = replicas.strategy(runtime.device.kind, further.num_devices, cluster.size)
    images_per_step = classic.batch_size * strategy.num_replicas_in_sync * cluster.size
    steps_per_epoch = train_split.records.num_samples // images_per_step
    if not steps_per_epoch:
        raise errors.UsageError(
            f'A step takes {images_per_step} images, but the split train has '
            f'{train_split.records.num_samples}: lower --batch_size'
        )
    origin = agreement.on_rank_0(
        cluster, lambda: state.origin(classic.model_dir, classic.resume_checkpoint)
    )

    # Not 0, with which tf.data would compare the seed of a shuffle, which is a tensor.
    tf_keras.utils.set_random_seed(further.seed + 1)
    with strategy.scope():
        model = make_model()
        optimizer = make_optimizer(images_per_step, steps_per_epoch)
    engine = engine_lib.Engine(
        model,
        optimizer,
        strategy,
        cluster,
        classic.label_smoothing,
        classic.ma_decay_rate,
        further.seed,
    )
    run_state = state.State(classic.model_dir, engine, steps_per_epoch)
    if origin and cluster.rank == 0:
        run_state.restore(origin)
    engine.make_equal()
    if cluster.size > 1:  # Every worker stands where rank 0 does.
        cluster.broadcast(list(run_state.progress.variables))

    plan = loop_lib.Plan(
        classic.epochs,
        steps_per_epoch,
        lambda step: _training(train_split, chosen, step, strategy.num_replicas_in_sync, cluster),
        (lambda: _evaluation(eval_split, classic.batch_size, cluster)) if eval_split else None,
        eval_split.records.num_samples if eval_split else 0,
    )
    rate = optimizer.learning_rate
    with contextlib.ExitStack() as stack:
        made: list[record.Record] = []

        def take_folder() -> None:
            stack.enter_context(state.taken(classic.model_dir, monitor.say))
            step = int(optimizer.iterations.numpy())
            folder, records = str(config.data_dir), train_split.records
            facts = run_file.facts(compared, runtime, records, folder, step)
            for line in run_file.begin(classic.model_dir, facts):
                monitor.say(line)
            finished = int(run_state.progress.epochs.numpy())
            made.append(record.Record(classic.model_dir, classic.epochs, steps_per_epoch, finished))
            stack.enter_context(contextlib.closing(made[0]))
            _announce(chosen, runtime, config, model, plan, images_per_step, origin, step)

        agreement.on_rank_0(cluster, take_folder)
        stop = stack.enter_context(stopping.graceful())
        run_loop = loop_lib.Loop(
            plan,
            engine,
            run_state,
            made[0] if made else None,
            cluster,
            stop,
            lambda step: float(rate(step)),
        )
        run_loop.last_good = origin
        with loop_lib.failures_told(cluster):
            run_loop.run()
        history = made[0].history if made else tf_keras.callbacks.History()
        history.set_model(model)
        history.history, history.epoch = agreement.on_rank_0(
            cluster, lambda: [history.history, history.epoch]
        )
        if made and not stop.exit_code:
            _tell_end(chosen, run_state, history)
        return history, stop.exit_code


def _settle_devices(runtime: startup.Runtime) -> None:
    """What a worker may use of its host, before the first operation."""
    cluster = runtime.cluster
    if cluster.size == 1:
        return
    gpus = tf.config.list_physical_devices('GPU')
    with contextlib.suppress(RuntimeError):  # Too late, where a script has computed already.
        tf.config.threading.set_intra_op_parallelism_threads(cluster.threads)
        if gpus:
            tf.config.set_visible_devices(gpus[cluster.local_rank % len(gpus)], 'GPU')


def _training(
    split: dataset_loader.Split, chosen: options.Trainer, step: int, per_step: int, cluster: Any
) -> Iterator[Any]:
    order = inputs.TrainingOrder(
        chosen.further.seed,
        first_step=step,
        batches_per_step=per_step,
        shard=inputs.Shard(cluster.rank, cluster.size),
    )
    batches = dataset_loader.training_batches(split, chosen.classic.batch_size, order)
    return _read(batches, split)


def _evaluation(split: dataset_loader.Split, batch_size: int, cluster: Any) -> Iterator[Any]:
    """Every file is read by one worker, whole."""
    records = split.records
    part = evaluator.part_of_worker(records.data_sources, None, cluster.rank, cluster.size)
    if not part.files:
        return iter(())
    mine = dataset_loader.Split(split.config, records.only(part.files), split.preprocess)
    return _read(dataset_loader.evaluation_batches(mine, batch_size), mine)


def _read(batches: tf.data.Dataset, split: dataset_loader.Split) -> Iterator[Any]:
    """The batches; DataError that names the record where one cannot be used."""
    iterator = iter(batches)
    while True:
        try:
            batch = next(iterator)
        except StopIteration:
            return
        except _OF_RECORDS as error:
            failed = folders.failed_file(error)
            if failed:
                raise errors.DataError(
                    f'{failed[1]}: {failed[0]}, of the data set, cannot be read'
                ) from error
            offset = split.config.labels_offset
            said = input_errors.explain(error, split.records, first_label=offset)
            raise errors.DataError(said) from error
        yield batch


def _announce(
    chosen: options.Trainer,
    runtime: startup.Runtime,
    config: DatasetConfig,
    model: tf_keras.Model,
    plan: loop_lib.Plan,
    images_per_step: int,
    origin: str | None,
    step: int,
) -> None:
    size = config.image_size
    evaluated = f'{plan.expected_images} to evaluate' if plan.evaluation else 'no evaluation'
    monitor.say(str(runtime))
    monitor.say(
        f'{model.name}, width {chosen.further.width_multiplier:g}, {config.num_classes} classes, '
        f'{size} x {size} pixels, {model.count_params():,} parameters'
    )
    monitor.say(
        f'data set {config.name} in {config.data_dir}: {config.num_examples} images, {evaluated}'
    )
    monitor.say(
        f'{plan.epochs} epochs of {plan.steps_per_epoch} steps of {images_per_step} images, into '
        f'{chosen.classic.model_dir}'
    )
    if origin:
        monitor.say(f'resuming from {origin}, step {step}')


def _tell_end(
    chosen: options.Trainer, run_state: state.State, history: tf_keras.callbacks.History
) -> None:
    folder, best = chosen.classic.model_dir, int(run_state.progress.best_epoch.numpy())
    if not history.epoch:
        return
    accuracy = history.history.get('val_accuracy')
    if accuracy:
        monitor.say(f'evaluated after the last epoch: accuracy {accuracy[-1]:.4f}')
    monitor.say(f'lowest loss after epoch {best}: {folder}/model.ckpt-{best:04d}')
    if chosen.further.plot:
        monitor.say(f'drew {record.plot(folder, history.history, history.epoch)}')
