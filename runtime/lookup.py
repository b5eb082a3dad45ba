"""What the flags name, found before anything is built: data set, network, preprocessing.

The one module of the runtime that knows the factories. Training, evaluation, export and the
benchmarks look up here, so that the same flags mean the same thing everywhere. TensorFlow has been
imported by then, since the device may want to be first (`startup.start`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from datasets import dataset_factory, pictures
from datasets.records import description, example_format, image_kinds, label_file
from nets import nets_factory, published
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
class Predictor:
    """What a prediction puts together."""

    network: Network
    preprocess: Callable[..., Any]  # of an image file; see get_encoded_preprocessing
    input_note: str  # a line for the log on how images are computed, or ''
    class_names: tuple[str, ...] | None  # by place in the logits
    image_kind: Callable[[bytes], str] = image_kinds.of  # 'a WebP file', '' for what is decoded


@dataclasses.dataclass(frozen=True)
class BareNetwork:
    """A network by itself, without a data set."""

    network: Network
    input_shape: tuple[int, ...]  # of an image: height, width, channels; of a video frames first


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
      DataError: the folder does not hold the split completely, or it has no images.
    """
    dataset = _dataset(chosen.dataset)
    if not dataset.has_records:
        raise errors.DataError(
            f'--dataset_split_name={chosen.dataset.dataset_split_name}: the split holds no images'
        )
    network = _network(
        chosen.network.model_name,
        _num_classes(dataset, chosen.dataset.labels_offset),
        chosen.input.train_image_size,
        # LARS has it in the rates of layers; in the loss too it would count twice.
        weight_decay=0.0 if chosen.optimizer.optimizer == 'lars' else chosen.network.weight_decay,
        is_training=True,
        batch_norm_decay=chosen.network.batch_norm_decay,
    )
    extra = chosen.augmentation
    preprocess, note = _preprocess(
        chosen,
        dataset.decode,
        is_training=True,
        augment=augmentation.rand_augment(extra.randaugment_layers, extra.randaugment_magnitude),
    )
    preprocess = augmentation.with_erasing(preprocess, extra.random_erasing)
    return Parts(dataset, network, preprocess, note)


def for_validation(chosen: options.Training, training: Parts) -> Parts | None:
    """The parts of the validations in a training run; None where there are none.

    Raises:
      UsageError: the flags do not go together.
      DataError: the folder does not hold the split completely, or it has no images.
    """
    asked, split = chosen.validation, chosen.validation.eval_split_name
    if asked.eval_every_epochs is not None and asked.eval_every_steps is not None:
        raise errors.UsageError('--eval_every_epochs and --eval_every_steps: give one of the two')
    if not asked.wanted:
        for flag, value in options.values(asked).items():
            if value is not None and value is not False:
                raise errors.UsageError(
                    f'--{flag}={value} has no effect without validations: give --eval_every_epochs '
                    'or --eval_every_steps'
                )
        return None
    if asked.recalibrate_before_eval and not chosen.run.recalibrate_batch_norm:
        raise errors.UsageError(
            '--recalibrate_before_eval: give --recalibrate_batch_norm the number of batches'
        )
    if not split:
        raise errors.UsageError(
            'Validations need a split of their own: give --eval_split_name, such as validation'
        )
    if split == chosen.dataset.dataset_split_name:
        raise errors.UsageError(
            f'--eval_split_name={split} is the split that is trained on: give another one'
        )
    dataset = _dataset(dataclasses.replace(chosen.dataset, dataset_split_name=split))
    if not dataset.has_records:
        raise errors.DataError(f'--eval_split_name={split}: the split holds no images')
    network = _network(
        chosen.network.model_name, training.network.num_classes, training.network.image_size
    )
    return Parts(dataset, network, *_preprocess(chosen, dataset.decode))


def for_evaluation(chosen: options.Evaluation) -> Parts:
    """The parts of an evaluation; raises as `for_training` does."""
    dataset = _dataset(chosen.dataset)
    num_classes = _num_classes(dataset, chosen.dataset.labels_offset)
    network = _network(chosen.network.model_name, num_classes, chosen.input.eval_image_size)
    return Parts(dataset, network, *_preprocess(chosen, dataset.decode))


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
    held = dict(enumerate(trained)) if trained is not None else _label_names(chosen)
    return _by_output(held, num_classes, chosen.labels_offset)


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

    return pictures.of_folder(folder, count, as_records)


def for_prediction(chosen: options.Prediction, about: Any, given: Collection[str]) -> Predictor:
    """The network of a checkpoint, and what pictures and classes it takes.

    Args:
      chosen: the flags, with the sidecar's values.
      about: the `sidecar.Sidecar`, or None.
      given: names of the flags that the user gave; classes are those of the training, unless they
        name a data set.

    Raises:
      UsageError: a name that is not there, or an offset that leaves no class.
      DataError: there are no classes to be had, or names for another number of them.
    """
    run, names_a_set = chosen.run, not {'dataset_name', 'dataset_dir'}.isdisjoint(given)
    if about is None or names_a_set:
        described = dataset_factory.get_description(run.dataset_name, run.dataset_dir)
        num_classes, dataset_name = _num_classes(described, run.labels_offset), run.dataset_name
        held = _label_names(run)
    else:
        num_classes, dataset_name = about.num_classes, about.dataset_name
        held = dict(enumerate(about.label_names or ()))
    network = _network(chosen.network.model_name, num_classes, chosen.input.eval_image_size)
    preprocess, note = _preprocess(chosen, dataset_factory.get_decoder(dataset_name))
    return Predictor(network, preprocess, note, _class_names(run, num_classes, held))


def _label_names(run: options.PredictionRunOptions | options.Export) -> Mapping[int, str]:
    """Of the flags' data set, by label: its folder's labels.txt, else dataset.json, else known."""
    if run.dataset_dir and label_file.exists(run.dataset_dir):
        return label_file.read(run.dataset_dir)
    return dataset_factory.get_label_names(run.dataset_name, run.dataset_dir) or {}


def _class_names(
    run: options.PredictionRunOptions, num_classes: int, held: Mapping[int, str]
) -> tuple[str, ...] | None:
    """By place in the logits: those of --labels_file, or those that are `held`, by label.

    None where not every class has a name. DataError: the file names another number.
    """
    if run.labels_file:
        return label_file.read_outputs(run.labels_file, num_classes, run.labels_offset)
    return _by_output(held, num_classes, run.labels_offset)


def _by_output(
    held: Mapping[int, str], num_classes: int, labels_offset: int
) -> tuple[str, ...] | None:
    """Names by place in the logits, of those by label; None where they are of other classes."""
    wanted = range(labels_offset, labels_offset + num_classes)
    if not held.keys() >= set(wanted) or max(held) > wanted[-1]:
        return None
    return tuple(held[label] for label in wanted)


def for_exported(
    chosen: options.Prediction, model: Any, num_classes: int, given: Collection[str]
) -> Predictor:
    """What pictures an exported network takes, and its classes.

    Args:
      chosen: the flags.
      model: a `results.exported.Exported`; where it does not say what it takes, the flags do.
      num_classes: that it gives.
      given: names of the flags that the user gave.

    Raises:
      UsageError: neither the file nor the flags say it, or they contradict each other.
      DataError: names for another number of classes.
    """
    flags = chosen.input
    takes_files = model.takes == 'image_bytes'
    own = flags.preprocessing_name or ('model_name' in given and chosen.network.model_name) or None
    name, size = model.preprocessing_name or own, model.image_size or flags.eval_image_size
    shown_path = errors.shortened(model.path, 120)
    if not takes_files and not name:
        raise errors.UsageError(
            f'{shown_path} does not say which preprocessing it takes: give --preprocessing_name'
        )
    if not takes_files and not size:
        raise errors.UsageError(f'{shown_path} takes images of any size: give --eval_image_size')
    _check_same('preprocessing_name', flags.preprocessing_name, name, model.path)
    _check_same('eval_image_size', flags.eval_image_size, size, model.path)
    if takes_files or not name:
        preprocess, note = _decode_only, ''
    else:
        preprocessing_factory.get_preprocessing(name)
        taken = {'preprocessing_name': name, 'use_grayscale': model.use_grayscale}
        decode = dataset_factory.get_decoder(chosen.run.dataset_name)
        preprocess, note = _preprocess(options.with_values(chosen, taken), decode)
    held: Mapping[int, str] = dict(enumerate(model.labels or (), chosen.run.labels_offset))
    if not {'dataset_name', 'dataset_dir'}.isdisjoint(given):
        held = _label_names(chosen.run)
    network = Network(model.run, num_classes, size or 0)
    return Predictor(network, preprocess, note, _class_names(chosen.run, num_classes, held))


def _check_same(flag: str, asked: Any, held: Any, path: str) -> None:
    """UsageError where a flag was given and an exported file says something else."""
    if asked and held and asked != held and not same_preprocessing(str(asked), str(held)):
        raise errors.UsageError(
            f'--{flag}={errors.shortened(asked, 60)}, but {errors.shortened(path, 120)} takes '
            f'{held}: leave the flag away'
        )


def _decode_only(encoded: Any, height: int, width: int) -> Any:
    """In place of a preprocessing, where an exported network has one of its own."""
    del height, width
    return example_format.decode_image(encoded)


def for_inspection(chosen: options.Inspection, num_classes: int | None = None) -> BareNetwork:
    """The network that the flags name, with `num_classes` logits; None: as the flags say.

    Raises:
      UsageError: a name that is not there, or frames for a network of images.
    """
    assert chosen.model_name  # the script requires it
    usual = published.published(chosen.model_name)
    if num_classes is None:
        num_classes = chosen.num_classes or usual.num_classes
    network = _network(chosen.model_name, num_classes, chosen.image_size, of_boxes=True)
    if chosen.num_frames and not usual.frames:
        raise errors.UsageError(
            f'--num_frames={chosen.num_frames}: {chosen.model_name} takes images, not videos'
        )
    frames = [chosen.num_frames or usual.frames] if usual.frames else []
    channels = 1 if chosen.use_grayscale else usual.channels
    size = network.image_size
    return BareNetwork(network, (*frames, size, size, channels))


def networks_for(chosen: options.Inspection, checkpoint: str, held: Iterable[str]) -> Sequence[str]:
    """Names of the networks that a checkpoint may be of: the flags', or those of its scopes.

    Args:
      chosen: the flags, with the network of the sidecar where there is one.
      checkpoint: its prefix.
      held: names of its variables.

    Raises:
      CheckpointError: none is known.
    """
    if chosen.model_name:
        check_names(chosen.model_name, source=f'{checkpoint}.json')
        return [chosen.model_name]
    scopes = sorted({name.split('/')[0] for name in held if '/' in name})
    found = [name for name, usual in published.NETWORKS.items() if usual.scope in scopes]
    if not found:
        raise errors.CheckpointError(
            f'Checkpoint {checkpoint} is of no network of this suite: its variables begin with '
            f'{errors.shortened(", ".join(scopes), 80) or "nothing in common"}'
        )
    return found


def check_names(model_name: str, preprocessing_name: str | None = None, source: str = '') -> None:
    """Looks names up before anything else is done.

    Raises:
      UsageError: a name that is not there.
      CheckpointError: the same, where the names come from `source`, not from the user.
    """
    with errors.names_of(source):
        nets_factory.get_network_fn(model_name, 1)
        if preprocessing_name:
            preprocessing_factory.get_preprocessing(preprocessing_name)


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


def _network(
    name: str, num_classes: int, image_size: int | None, of_boxes: bool = False, **arguments: Any
) -> Network:
    """UsageError for one that finds boxes, unless `of_boxes` are welcome."""
    if not of_boxes and any(row.name == name and row.finds_boxes for row in nets_factory.NETWORKS):
        raise errors.UsageError(
            f'{name} finds boxes, not classes of a whole image: train_object_detector.py trains it'
        )
    function = nets_factory.get_network_fn(name, num_classes, **arguments)
    return Network(function, num_classes, image_size or function.default_image_size)


def _preprocess(
    chosen: options.Training | options.Evaluation | options.Prediction,
    decode: Callable[..., Any],
    **arguments: Any,
) -> tuple[Callable[..., Any], str]:
    """Of an encoded image; and a line on whether the compiled operation is used."""
    name = chosen.input.preprocessing_name or chosen.network.model_name
    fused = chosen.input.fused_decoding and decode is example_format.decode_image
    custom_op, note = preprocessing_factory.find_custom_op(
        name, fused, chosen.input.custom_image_op
    )
    preprocess = preprocessing_factory.get_encoded_preprocessing(
        name,
        decode,
        use_grayscale=chosen.input.use_grayscale,
        fused=fused,
        custom_op=custom_op,
        **arguments,
    )
    return preprocess, note
