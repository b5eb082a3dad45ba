"""Evaluates a checkpoint of a slim MobileNet through its Keras model: every image once, top-1.

  python3 -m mobilenet.tf1_loader.evaluator --model_name=mobilenet_v2 --dataset_name=imagenet2012 \\
      --data_dir=/data/imagenet --checkpoint_path=/data/mobilenet_v2_1.0_224.ckpt

The split is the data set's for evaluation, read by the suite's own pipeline and Inception's
preprocessing. Width and number of classes are those of the checkpoint. Prints `images: N/N`,
Accuracy and Recall_5. Exit codes: 0 done, 1 failure, 2 wrong command line, 3 data, 5 device.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from absl import flags as absl_flags

from mobilenet.configs import archs
from mobilenet.configs import dataset as dataset_configs
from runtime import app, flags, options, startup
from runtime.options import option
from slim import errors


@dataclasses.dataclass(frozen=True)
class Evaluator:
    """Every flag of the evaluator."""

    model_name: str = option('mobilenet_v1', 'network', choices=tuple(archs.MODEL_CONFIGS))
    dataset_name: str = option(
        'imagenette',
        'imagenette, imagenet2012, mnist, or the name in the dataset.json of --data_dir, which may '
        'then be left out',
    )
    data_dir: str | None = option(None, 'folder of the TFRecord files', path='read')
    checkpoint_path: str | None = option(
        None, 'checkpoint of the slim network, or folder of one', path='read'
    )
    batch_size: int = option(128, 'images per batch', at_least=1)
    image_size: int | None = option(
        None,
        'side of the square input in pixels; default: what the checkpoint was trained with, where '
        "the file beside it (PREFIX.json) says so, or else the data set's",
        at_least=1,
    )
    use_mv_average: bool = option(
        True, 'take the moving averages where the checkpoint has them; off: the last weights'
    )
    device: str = option(
        'auto', 'device that computes; auto takes HPU, then GPU, then CPU', choices=options.DEVICES
    )


@dataclasses.dataclass(frozen=True)
class Result:
    """What an evaluation counted."""

    images: int
    accuracy: float
    recall_5: float


def get_flags() -> None:
    """Defines the evaluator's flags; those that are there stay."""
    flags.define(Evaluator)


def main(_: Any = None) -> int:
    """Evaluates as the command line says; returns the exit code."""
    evaluate(absl_flags.FLAGS)
    return 0


def evaluate(params: Any) -> Result:
    """Evaluates a checkpoint and prints the result.

    Args:
      params: absl's parsed flags, of `get_flags`, or an `Evaluator`.

    Raises:
      errors.SuiteError: what the command line prints as one line.
    """
    chosen = params if isinstance(params, Evaluator) else flags.read(Evaluator, params)
    named = isinstance(params, Evaluator) or 'dataset_name' in flags.chosen_by_user(params)
    known = archs.MODEL_CONFIGS
    if chosen.model_name not in known:
        raise errors.unknown_name('model', chosen.model_name, known)
    for name, meaning in (('checkpoint_path', 'checkpoint'), ('data_dir', 'folder of the records')):
        if not getattr(chosen, name):
            raise errors.UsageError(f'--{name} is missing: give the {meaning}')
    runtime = startup.start(options.DeviceOptions(device=chosen.device))
    print(runtime, flush=True)

    import tensorflow as tf

    with tf.device(runtime.device.name):
        return _evaluate(chosen, named)


def _evaluate(chosen: Evaluator, named: bool) -> Result:
    """`named`: whether the user has named the data set."""
    from mobilenet import dataset_loader
    from mobilenet.tf1_loader import fitting, names, slim_checkpoint
    from runtime.checkpoints import sidecar
    from runtime.results import evaluator as results

    kind = archs.MODEL_CONFIGS[chosen.model_name]
    path = str(chosen.checkpoint_path)
    held = slim_checkpoint.look_into(path, names.scope_of(kind), chosen.use_mv_average)
    config = fitting.fitting_config(held.shapes, [kind])
    if config is None:
        raise _of_another_network(held, chosen.model_name)
    about = sidecar.read(held.prefix)
    own_name = None if named else dataset_loader.own_name(str(chosen.data_dir))
    chosen = dataclasses.replace(chosen, dataset_name=own_name or chosen.dataset_name)
    dataset = _dataset_config(chosen, config, about)
    config.input_shape = (dataset.image_size, dataset.image_size, dataset.num_channels)
    split = dataset_loader.open_split(dataset, slim_preprocess=dataset.preprocessing_name is None)
    model = _get_model_loader()[chosen.model_name](
        checkpoint_path=held.prefix, config=config, use_mv_average=chosen.use_mv_average
    )
    print(f'{fitting.shown(config)} on {dataset.name}, {split.records.split_name}', flush=True)
    result = _count(model, split, chosen.batch_size)
    print(f'images: {result.images}/{split.records.num_samples}')
    print(f'Accuracy: {result.accuracy:.4f}')
    print(f'Recall_5: {result.recall_5:.4f}', flush=True)
    results.check_complete(result.images, split.records.num_samples)
    return result


def _of_another_network(held: Any, model_name: str) -> errors.CheckpointError:
    from mobilenet.tf1_loader import fitting

    fit = fitting.fitting_config(held.shapes)
    name = next((name for name, kind in archs.MODEL_CONFIGS.items() if kind is type(fit)), None)
    advice = f'It fits {fitting.shown(fit)}: give --model_name={name}' if fit else 'It fits none'
    return errors.CheckpointError(f'Checkpoint {held.prefix} is not of {model_name}. {advice}')


def _dataset_config(
    chosen: Evaluator, config: archs.MobileNetConfig, about: Any
) -> dataset_configs.DatasetConfig:
    """The split to evaluate, with as many classes as the checkpoint; `about`: its sidecar."""
    from mobilenet import dataset_loader

    name = chosen.dataset_name
    kind = dataset_configs.DATASETS.get(name, dataset_configs.FolderConfig)
    dataset = kind(name=name, data_dir=chosen.data_dir, one_hot=False)
    dataset.num_channels = config.input_shape[2]
    if about is not None:
        dataset.override(
            {'image_size': about.image_size, 'preprocessing_name': about.preprocessing_name}
        )
    elif dataset.preprocessing_name is not None:
        dataset.preprocessing_name = None
    if chosen.image_size:
        dataset.image_size = chosen.image_size
    dataset.num_classes = config.num_classes or dataset.num_classes
    located = dataset_loader.located(dataset)
    if config.num_classes and located.num_classes != config.num_classes:
        raise errors.DataError(
            f'The checkpoint has {config.num_classes} classes and {chosen.data_dir} has '
            f'{located.num_classes}: it is of another data set'
        )
    return located.replace(split=located.eval_split)


def _get_model_loader() -> Mapping[str, Callable[..., Any]]:
    from mobilenet.tf1_loader import v1_loader, v2_loader, v3_loader

    return {
        'mobilenet_v1': v1_loader.load_mobilenet_v1,
        'mobilenet_v2': v2_loader.load_mobilenet_v2,
        'mobilenet_v3_small': v3_loader.load_mobilenet_v3_small,
        'mobilenet_v3_large': v3_loader.load_mobilenet_v3_large,
        'mobilenet_v3_edge_tpu': v3_loader.load_mobilenet_edgetpu,
        'mobilenet_v3_small_minimalistic': v3_loader.load_mobilenet_v3_small,
        'mobilenet_v3_large_minimalistic': v3_loader.load_mobilenet_v3_large,
    }


def _count(model: Any, split: Any, batch_size: int) -> Result:
    """Counts what is right over all images of a split; DataError for records of no use."""
    import tensorflow as tf

    from mobilenet import common_modules, dataset_loader
    from runtime.input import inputs
    from runtime.training import classification

    logits_model = common_modules.logits_model(model)

    # Layers need no translation by autograph, which takes a minute on TensorFlow 2.15.
    @tf.function(autograph=False)
    def count(images: Any, labels: Any, real: Any) -> Any:
        counts = classification.count_correct(logits_model(images, training=False), labels, real)
        return counts.images, counts.top_1, counts.top_5

    images = top_1 = top_5 = batches = 0
    try:
        for batch in dataset_loader.evaluation_batches(split, batch_size):
            counted = [int(number) for number in count(*batch)]
            images, top_1, top_5 = images + counted[0], top_1 + counted[1], top_5 + counted[2]
            batches += 1
    except (tf.errors.InvalidArgumentError, tf.errors.DataLossError) as error:
        batch_format = split.batch_format(batch_size)
        raise errors.DataError(
            inputs.explain_evaluation(error, split.records, batch_format, batches)
        ) from error
    if not images:
        raise errors.DataError('The split holds no records')
    return Result(images, top_1 / images, top_5 / images)


if __name__ == '__main__':
    get_flags()
    app.run(main)
