"""What the flags of the detector's scripts name; beside `lookup`, which is for classes."""

from __future__ import annotations

import dataclasses
import functools
import io
from collections.abc import Callable, Mapping
from typing import Any

from datasets import detection_factory, pictures
from datasets.records import description, example_format
from nets import detectors
from preprocessing import detection_preprocessing, preprocessing_factory
from runtime import options
from slim import errors


@dataclasses.dataclass(frozen=True)
class Network:
    """A detector for a data set."""

    function: Callable[..., tuple[Any, dict[str, Any]]]  # images to (last layer, end points)
    num_classes: int  # of the objects
    class_names: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Parts:
    """What a run puts together."""

    dataset: Any  # datasets.detection_set.DetectionSet
    network: Network
    preprocess: Callable[..., Any]  # see detection_preprocessing
    input_note: str  # a line for the log on how pictures are computed, or ''

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of the classes that objects are of, which the background is not."""
        return self.network.class_names[int(self.dataset.has_background) :]


def for_training(chosen: options.DetectionTraining) -> Parts:
    """The parts of a training run.

    Raises:
      UsageError: a name that is not there.
      DataError: the folder does not hold the split completely, or it has no pictures.
    """
    dataset, flags = _dataset(chosen.dataset), chosen.network
    if not dataset.has_records:
        raise errors.DataError(
            f'--dataset_split_name={chosen.dataset.dataset_split_name}: the split holds no pictures'
        )
    network = _network(
        dataset,
        flags,
        # LARS has it in the rates of layers; in the loss too it would count twice.
        weight_decay=0.0 if chosen.optimizer.optimizer == 'lars' else flags.weight_decay,
        is_training=True,
        batch_norm_decay=flags.batch_norm_decay,
        dropout_keep_prob=flags.dropout_keep_prob,
    )
    custom_op, note = _custom_op(chosen.input)
    preprocess: Callable[..., Any] = functools.partial(
        detection_preprocessing.preprocess_for_train, custom_op=custom_op
    )
    if not chosen.input.augment:
        preprocess = functools.partial(_as_it_is, custom_op)
    return Parts(dataset, network, preprocess, note)


def for_evaluation(chosen: options.DetectionEvaluation) -> Parts:
    """The parts of an evaluation; raises as `for_training` does."""
    dataset = _dataset(chosen.dataset)
    custom_op, note = _custom_op(chosen.input)
    preprocess = functools.partial(detection_preprocessing.preprocess_for_eval, custom_op=custom_op)
    return Parts(dataset, _network(dataset, chosen.network), preprocess, note)


def for_export(chosen: options.DetectionExport, about: Any = None) -> Network:
    """The network to export, with the classes of its training; without `about`, the flags'.

    Args:
      chosen: the flags, with the sidecar's values.
      about: the `sidecar.DetectorSidecar`, or None.

    Raises UsageError for a name that is not there.
    """
    if about is None:
        about = detection_factory.get_description(chosen.dataset_name, chosen.dataset_dir)
    names = dict(enumerate(about.label_names or ()))
    return _network_of(about.num_classes, names, chosen)


def preprocess_file(encoded: Any, height: int, width: int) -> Any:
    """An image file as evaluation sees it, by TensorFlow's own operations alone."""
    image = example_format.decode_image(encoded)
    return detection_preprocessing.preprocess_for_eval(image, height, width)


def pixel_scale() -> tuple[float, tuple[float, ...]]:
    """Scale and offsets of pixels of 0..255, as `preprocessing_factory.pixel_scale` has them."""
    scale = preprocessing_factory.pixel_scale('inception', 3)
    assert scale
    return scale


def pictures_for_export(chosen: options.DetectionExport, count: int) -> list[tuple[str, bytes]]:
    """Name and content of at most `count` image files of --check_dir, spread over it.

    A folder of records gives those of --check_split; without a folder, scenes are drawn. DataError
    where there are none.
    """
    folder = chosen.check_dir
    if not folder:
        return _scenes(count, chosen.image_height, chosen.image_width)

    def as_records() -> Any:
        # Pictures of another set do as well, under the name that it has itself.
        described = description.read_description(folder)
        name = described.name if described else chosen.dataset_name
        return detection_factory.get_dataset(name, chosen.check_split, folder)

    return pictures.of_folder(folder, count, as_records)


def _scenes(count: int, height: int, width: int) -> list[tuple[str, bytes]]:
    """Generated scenes as PNG files."""
    from datasets.conversion import scenes

    size = max(height, scenes.MIN_HEIGHT), max(width, scenes.MIN_WIDTH)
    found = []
    for number in range(count):
        content = io.BytesIO()
        scenes.draw(0, number, *size)[0].save(content, 'PNG')
        found.append((f'scene {number}', content.getvalue()))
    return found


def check_name(model_name: str, source: str = '') -> None:
    """Looks the network's name up before anything else is done.

    Raises:
      UsageError: it is not there.
      CheckpointError: the same, where it comes from `source`, not from the user.
    """
    with errors.names_of(source):
        detectors.get_detector_fn(model_name, 1)


def _as_it_is(
    custom_op: Any, image: Any, boxes: Any, height: int, width: int, seed: Any = None
) -> tuple[Any, Any]:
    """A training picture as evaluation sees it."""
    import tensorflow as tf

    del seed
    size = tf.cast(tf.shape(image)[:2], tf.float32)
    boxes = detection_preprocessing.clip(boxes, size)
    view = detection_preprocessing.preprocess_for_eval(image, height, width, custom_op)
    return view, detection_preprocessing.to_frame(boxes, size, height, width)


def _dataset(chosen: options.DatasetOptions) -> Any:
    assert chosen.dataset_dir  # the scripts require it
    if chosen.labels_offset:
        raise errors.UsageError('--labels_offset: detectors have no background class to leave out')
    return detection_factory.get_dataset(
        chosen.dataset_name, chosen.dataset_split_name, chosen.dataset_dir
    )


def _network(dataset: Any, chosen: options.DetectorOptions, **arguments: Any) -> Network:
    names = dataset.labels_to_names or {}
    return _network_of(dataset.num_classes, names, chosen, **arguments)


def _network_of(
    num_classes: int, names: Mapping[int, str], chosen: options.DetectorOptions, **arguments: Any
) -> Network:
    """A class without a name has its number for one."""
    function = detectors.get_detector_fn(
        chosen.model_name, num_classes, width_multiplier=chosen.width_multiplier, **arguments
    )
    class_names = tuple(names.get(label, str(label)) for label in range(num_classes))
    return Network(function, num_classes, class_names)


def _custom_op(chosen: options.DetectionInputOptions) -> tuple[Any, str]:
    """The compiled operation, or None; and a line on it."""
    return preprocessing_factory.find_custom_op('inception', True, chosen.custom_image_op)
