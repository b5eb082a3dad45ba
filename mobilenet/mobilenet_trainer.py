"""Trains a Keras MobileNet and evaluates it after each epoch.

  python3 -m mobilenet.mobilenet_trainer                 the built-in sample of handwritten digits
  python3 -m mobilenet.mobilenet_trainer --dataset_name=imagenette --data_dir=/data/imagenette \\
      --model_name=mobilenet_v2 --batch_size=64 --epochs=30 --model_dir=/data/run
  python3 -m mobilenet.mobilenet_trainer --resume_checkpoint ...     goes on where it was
  mpirun -np 2 python3 -m mobilenet.mobilenet_trainer --use_horovod ...

--model_dir gets a checkpoint after each epoch, history.json, run.json and TensorBoard's files. Exit
codes: 0 done, 1 failure, 2 wrong command line, 3 data, 4 a loss that is not finite, 5 device, 128 +
n ended by signal n (the state is saved first).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from absl import flags as absl_flags

from mobilenet.configs import archs, defaults
from mobilenet.configs import dataset as dataset_configs
from mobilenet.training import options
from runtime import app, flags, startup
from runtime import options as runtime_options
from slim import errors

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras

# Flags by which neither the network nor the course of a run changes.
_FREE_FLAGS = frozenset(
    {'model_dir', 'data_dir', 'resume_checkpoint', 'plot', 'use_horovod', 'num_workers', 'epochs'}
)


def get_flags() -> None:
    """Defines the trainer's flags; those that are there stay."""
    flags.define(options.Trainer)


def main(_: Any = None) -> int:
    """Trains as the command line says; returns the exit code."""
    return _train(_chosen(absl_flags.FLAGS))[1]


def train_and_eval(params: Any) -> tf_keras.callbacks.History:
    """Trains and evaluates after each epoch.

    Args:
      params: absl's parsed flags (see `get_flags`), or any object with some of them as attributes.

    Returns:
      Keras' History: loss, accuracy, val_loss, val_accuracy and lr, one value for each epoch.

    Raises:
      errors.SuiteError: what the command line would print as one line.
    """
    return _train(_chosen(params))[0]


def get_dataset(
    config: dataset_configs.DatasetConfig, slim_preprocess: bool = False
) -> tf.data.Dataset:
    """Batches (images, labels) of `config.split`; see `dataset_loader.get_dataset`."""
    from mobilenet import dataset_loader

    return dataset_loader.get_dataset(config, slim_preprocess)


def build_model(
    model_name: str,
    model_config: archs.MobileNetConfig | None = None,
    dataset_config: dataset_configs.DatasetConfig | None = None,
) -> tf_keras.Model:
    """The network, with probabilities as output.

    Args:
      model_name: a key of the trainer's models.
      model_config: None for its defaults.
      dataset_config: gives the number of classes and the input's shape. The two configurations may
        change places, as they have.

    Raises:
      UsageError: an unknown network, or a configuration of another one.
    """
    if isinstance(model_config, dataset_configs.DatasetConfig):
        model_config, dataset_config = dataset_config, model_config
    builder = _lookup('model', model_name, _get_model_builder())
    config = model_config or _get_model_config()[model_name]()
    if dataset_config is not None:
        size, channels = dataset_config.image_size, dataset_config.num_channels
        config = config.replace(
            num_classes=dataset_config.num_classes, input_shape=(size, size, channels)
        )
    return builder(config=config)


def _get_model_config() -> Mapping[str, type[archs.MobileNetConfig]]:
    return archs.MODEL_CONFIGS


def _get_model_builder() -> Mapping[str, Any]:
    from mobilenet import mobilenet_v1, mobilenet_v2, mobilenet_v3

    return {
        'mobilenet_v1': mobilenet_v1.mobilenet_v1,
        'mobilenet_v2': mobilenet_v2.mobilenet_v2,
        'mobilenet_v3_small': mobilenet_v3.mobilenet_v3_small,
        'mobilenet_v3_large': mobilenet_v3.mobilenet_v3_large,
        'mobilenet_v3_edge_tpu': mobilenet_v3.mobilenet_v3_edge_tpu,
        'mobilenet_v3_small_minimalistic': mobilenet_v3.mobilenet_v3_small,
        'mobilenet_v3_large_minimalistic': mobilenet_v3.mobilenet_v3_large,
    }


def _get_dataset_config() -> Mapping[str, type[dataset_configs.DatasetConfig]]:
    return dataset_configs.DATASETS


def _get_optimizer(
    batch_size: int,
    steps_per_epoch: int,
    lr_name: str = defaults.LR_NAME_DEFAULT,
    optimizer_name: str = defaults.OP_NAME_DEFAULT,
    lr_params: Mapping[str, Any] = defaults.LR_CONFIG_DEFAULT,
    optimizer_params: Mapping[str, Any] = defaults.OP_CONFIG_DEFAULT,
) -> Any:
    """A Keras optimizer with its schedule; `batch_size` counts the images of all replicas.

    `moving_average_decay` among the parameters is not its matter: the trainer keeps the averages.
    """
    from mobilenet.training import optimizers, schedules

    rate = schedules.schedule(lr_name, steps_per_epoch, batch_size, lr_params)
    return optimizers.optimizer(optimizer_name, rate, optimizer_params)


def _lookup(kind: str, name: str, table: Mapping[str, Any]) -> Any:
    if name not in table:
        raise errors.unknown_name(kind, name, table)
    return table[name]


# From flags to a run.


def _chosen(params: Any) -> tuple[options.Trainer, set[str]]:
    """The options, with the digits' recipe where it belongs, and what was given or has it."""
    if isinstance(params, absl_flags.FlagValues):
        chosen = flags.read(options.Trainer, params)
        given = {name: params[name].value for name in flags.chosen_by_user(params)}
    else:
        known = runtime_options.values(options.default())
        given = {name: getattr(params, name) for name in known if hasattr(params, name)}
        chosen = runtime_options.with_values(options.default(), given)
    settled = options.with_recipe(chosen, given)
    before, after = runtime_options.values(chosen), runtime_options.values(settled)
    return settled, set(given) | {name for name in after if after[name] != before[name]}


def _dataset_config(chosen: options.Trainer, given: set[str]) -> dataset_configs.DatasetConfig:
    """The configuration of the training split, with the folder's numbers."""
    from mobilenet import dataset_loader

    classic, further = chosen.classic, chosen.further
    name = classic.dataset_name
    if classic.data_dir and 'dataset_name' not in given:
        name = dataset_loader.own_name(classic.data_dir) or name
    known = _get_dataset_config()
    if name not in known and not classic.data_dir:
        raise errors.unknown_name('dataset', name, known)
    config = known.get(name, dataset_configs.FolderConfig)(
        name=name, data_dir=classic.data_dir, batch_size=classic.batch_size
    )
    if further.image_size:
        config.image_size = further.image_size
    if further.eval_split:
        config.eval_split = further.eval_split
    return dataset_loader.located(config)


def _train(asked: tuple[options.Trainer, set[str]]) -> tuple[tf_keras.callbacks.History, int]:
    chosen, given = asked
    runtime = startup.start(
        runtime_options.DeviceOptions(device=chosen.further.device, xla='off'), chosen.workers
    )

    from mobilenet.training import run

    classic, further = chosen.classic, chosen.further
    config = _dataset_config(chosen, given)

    def make_model() -> tf_keras.Model:
        model_config = _lookup('model', classic.model_name, _get_model_config())(
            width_multiplier=further.width_multiplier,
            dropout_keep_prob=1.0 - classic.dropout_rate,
            weight_decay=classic.std_weight_decay,
            stddev=classic.truncated_normal_stddev,
            batch_norm_decay=classic.batch_norm_decay,
        )
        return build_model(classic.model_name, model_config, config)

    def make_optimizer(batch_size: int, steps_per_epoch: int) -> Any:
        return _get_optimizer(
            batch_size,
            steps_per_epoch,
            classic.learning_scheduler_name,
            classic.optimizer_name,
            _rate_params(chosen, given),
            {'decay': classic.op_decay_rate, 'momentum': classic.op_momentum},
        )

    flag_values = runtime_options.values(chosen)
    compared = {name: value for name, value in flag_values.items() if name not in _FREE_FLAGS}
    if classic.learning_scheduler_name.startswith('cosine'):  # It bends to the end.
        compared['epochs'] = classic.epochs
    return run.train(chosen, runtime, config, make_model, make_optimizer, compared)


def _rate_params(chosen: options.Trainer, given: set[str]) -> dict[str, Any]:
    classic, further = chosen.classic, chosen.further
    params: dict[str, Any] = {
        'initial_lr': classic.lr,
        'decay_epochs': classic.lr_decay_epochs,
        'decay_rate': classic.lr_decay_rate,
        'warmup_epochs': further.warmup_epochs,
        'epochs': classic.epochs,
        'staircase': True,
    }
    if 'lr' in given:
        params['base_lr'] = classic.lr
    for flag, key in (('lr_boundaries', 'boundaries'), ('lr_multipliers', 'multipliers')):
        text = getattr(further, flag)
        if text:
            try:
                params[key] = tuple(float(number) for number in text.split(','))
            except ValueError:
                raise errors.UsageError(
                    f'--{flag}={errors.shortened(text)}: give numbers with commas between them'
                ) from None
    return params


if __name__ == '__main__':
    get_flags()
    app.run(main)
