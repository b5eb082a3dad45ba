"""What the flags name, found before anything is built: data set, network, preprocessing.

The one module of the runtime that knows the factories. Training, evaluation, export and the
benchmarks look up here, so that the same flags mean the same thing everywhere. TensorFlow has been
imported by then, since the device may want to be first (`startup.start`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from datasets import dataset_factory, pictures
from datasets.records import description, example_format
from nets import nets_factory
from preprocessing import augmentation, preprocessing_factory
from runtime import options
from slim import errors


@dataclasses.dataclass(frozen=True)
class Network:
    """A network of the factory, for a data set."""

    function: Callable[..., tuple[Any, dict[str, Any]]]  # images to (logits, end points)
    num_classes: int  # of its logits
    image_size: int  # side of its square input, in pixels


@dataclasses.dataclass(frozen=True)
class Parts:
    """What a run puts together."""

    dataset: Any  # datasets.dataset.Dataset
    network: Network
    preprocess: Callable[..., Any]  # of an encoded image; see get_encoded_preprocessing
    input_note: str  # a line for the log on how images are computed, or ''


def for_training(chosen: options.Training) -> Parts:
    """The parts of a training run.

    Raises:
      UsageError: a name that is not there, or flags that do not go together.
      DataError: the folder does not hold the split completely.
    """
    dataset = _dataset(chosen.dataset)
    network = _network(
        chosen.network.model_name,
        _num_classes(dataset, chosen.dataset.labels_offset),
        chosen.input.train_image_size,
        weight_decay=chosen.network.weight_decay,
        is_training=True,
        batch_norm_decay=chosen.network.batch_norm_decay,
    )
    extra = chosen.augmentation
    preprocess, note = _preprocess(
        chosen,
        dataset,
        is_training=True,
        augment=augmentation.rand_augment(extra.randaugment_layers, extra.randaugment_magnitude),
    )
    preprocess = augmentation.with_erasing(preprocess, extra.random_erasing)
    return Parts(dataset, network, preprocess, note)


def for_evaluation(chosen: options.Evaluation) -> Parts:
    """The parts of an evaluation; raises as `for_training` does."""
    dataset = _dataset(chosen.dataset)
    num_classes = _num_classes(dataset, chosen.dataset.labels_offset)
    network = _network(chosen.network.model_name, num_classes, chosen.input.eval_image_size)
    return Parts(dataset, network, *_preprocess(chosen, dataset))


def for_export(chosen: options.Export, num_classes: int | None = None) -> Network:
    """The network to export, with `num_classes` logits; None: those of the flags' data set."""
    if num_classes is None:
        about = dataset_factory.get_description(chosen.dataset_name, chosen.dataset_dir)
        num_classes = _num_classes(about, chosen.labels_offset)
    if chosen.output == 'features':
        num_classes = 0
    return _network(
        chosen.model_name,
        num_classes,
        chosen.image_size,
        is_training=chosen.is_training,
    )


def labels_for_export(
    chosen: options.Export, num_classes: int, trained: Sequence[str] | None
) -> tuple[str, ...] | None:
    """Names of the classes by place in the logits: as in training, or the data set's.

    None where nobody knows names for as many classes.
    """
    names = trained
    if names is None:
        held = dataset_factory.get_label_names(chosen.dataset_name, chosen.dataset_dir)
        names = [held[label] for label in sorted(held)] if held else ()
    names = tuple(names[chosen.labels_offset :])
    return names if len(names) == num_classes else None


def preprocessing_for_export(
    chosen: options.Export,
) -> tuple[Callable[..., Any], tuple[float, tuple[float, ...]] | None]:
    """Of an image file, by TensorFlow's own operations alone; and the scale of its pixels.

    Raises UsageError where pixels are to go in and the preprocessing has no scale.
    """
    name = chosen.preprocessing_name or chosen.model_name
    preprocess = preprocessing_factory.get_encoded_preprocessing(
        name, example_format.decode_image, use_grayscale=chosen.use_grayscale
    )
    scale = preprocessing_factory.pixel_scale(name, 1 if chosen.use_grayscale else 3)
    return preprocess, scale


def pictures_for_export(chosen: options.Export, count: int) -> list[tuple[str, bytes]]:
    """Name and content of at most `count` image files of --calibration_dir, spread over it.

    A folder of records gives those of --calibration_split. DataError where there are none.
    """
    folder = chosen.calibration_dir
    assert folder

    def as_records() -> Any:
        # Pictures of another set do as well, under the name that it has itself.
        described = description.read_description(folder)
        name = described.name if described else chosen.dataset_name
        return dataset_factory.get_dataset(name, chosen.calibration_split, folder)

    return pictures.of_folder(
        folder,
        count,
        as_records,
    )


def check_names(model_name: str, preprocessing_name: str | None = None, source: str = '') -> None:
    """Looks names up before anything else is done.

    Raises:
      UsageError: a name that is not there.
      CheckpointError: the same, where the names come from `source`, not from the user.
    """
    try:
        nets_factory.get_network_fn(model_name, 1)
        if preprocessing_name:
            preprocessing_factory.get_preprocessing(preprocessing_name)
    except errors.UsageError as error:
        if not source:
            raise
        raise errors.CheckpointError(
            f'{errors.shortened(source, 80)}, unless --ignore_sidecar is given: {error}'
        ) from error


def same_preprocessing(name: str, other: str) -> bool:
    """Whether two names stand for one preprocessing, as `inception` and `mobilenet_v2` do."""
    known = preprocessing_factory.preprocessing_fn_map
    return name in known and known[name] is known.get(other)


def shown(network_name: str, network: Network, preprocessing_name: str = '') -> str:
    """`mobilenet_v1_025 with 10 classes at 224 x 224 pixels (its own: 128), preprocessing NAME`."""
    size = network.image_size
    own = getattr(network.function, 'default_image_size', size)
    line = f'{network_name} with {network.num_classes} classes at {size} x {size} pixels'
    if size != own:
        line += f' (its own: {own})'
    return line + (f', preprocessing {preprocessing_name}' if preprocessing_name else '')


def _dataset(chosen: options.DatasetOptions) -> Any:
    assert chosen.dataset_dir  # the scripts require it
    return dataset_factory.get_dataset(
        chosen.dataset_name, chosen.dataset_split_name, chosen.dataset_dir
    )


def _num_classes(dataset: Any, labels_offset: int) -> int:
    """Of the logits. A network of 0 classes would have no classifier."""
    if not 0 <= labels_offset < dataset.num_classes:
        raise errors.UsageError(
            f'--labels_offset={labels_offset} leaves no class: data set '
            f'{errors.shortened(repr(dataset.name), 60)} has '
            f'{dataset.num_classes}, so it must be 0 to {dataset.num_classes - 1}'
        )
    return dataset.num_classes - labels_offset


def _network(name: str, num_classes: int, image_size: int | None, **arguments: Any) -> Network:
    function = nets_factory.get_network_fn(name, num_classes, **arguments)
    return Network(function, num_classes, image_size or function.default_image_size)


def _preprocess(
    chosen: options.Training | options.Evaluation, dataset: Any, **arguments: Any
) -> tuple[Callable[..., Any], str]:
    """Of an encoded image; and a line on whether the compiled operation is used."""
    name = chosen.input.preprocessing_name or chosen.network.model_name
    fused = chosen.input.fused_decoding and dataset.decode is example_format.decode_image
    custom_op, note = preprocessing_factory.find_custom_op(
        name, fused, chosen.input.custom_image_op
    )
    preprocess = preprocessing_factory.get_encoded_preprocessing(
        name,
        dataset.decode,
        use_grayscale=chosen.input.use_grayscale,
        fused=fused,
        custom_op=custom_op,
        **arguments,
    )
    return preprocess, note
