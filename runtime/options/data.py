"""Records, and how they become batches."""

from __future__ import annotations

import dataclasses

from runtime.options.fields import CONTRIB_QUANTIZE, option

DATA_ERRORS = ('stop', 'skip')


@dataclasses.dataclass(frozen=True)
class DatasetOptions:
    """Which records."""

    dataset_name: str = option(
        'imagenet', 'name of the data set; a dataset.json beside the records overrides its numbers'
    )
    dataset_split_name: str = option('train', 'split to read')
    dataset_dir: str | None = option(None, 'folder of the TFRecord files', path='read')
    labels_offset: int = option(
        0,
        'subtracted from the labels and the number of classes (networks without background)',
        at_least=0,
    )


@dataclasses.dataclass(frozen=True)
class EvaluationDatasetOptions(DatasetOptions):
    """Which records to evaluate."""

    dataset_split_name: str = option('validation', 'split to read')


@dataclasses.dataclass(frozen=True)
class InputOptions:
    """How records become batches."""

    batch_size: int = option(96, 'images per batch, per clone and per worker', at_least=1)
    preprocessing_name: str | None = option(
        None, "name of the preprocessing; default: the network's own"
    )
    use_grayscale: bool = option(False, 'feed one channel instead of three')
    num_preprocessing_threads: int = option(
        4,
        'images decoded in parallel; 0 lets tf.data choose; not given: as many as there are cores, '
        'and no fewer than 4',
        at_least=0,
    )
    fused_decoding: bool = option(
        True, 'decode only what the crop needs; off: decode whole images, as the classic suite'
    )
    custom_image_op: bool = option(
        True,
        'resize and colour images by the compiled operation where it has been built '
        "(docs/input.md); off: by TensorFlow's operations, to the same pixels",
    )
    on_data_error: str = option(
        'stop', 'at a record that cannot be used: stop and name it, or skip it', choices=DATA_ERRORS
    )


@dataclasses.dataclass(frozen=True)
class PrefetchOptions:
    """How batches come to a card."""

    device_prefetch: int = option(
        1,
        'batches that wait in the memory of a GPU for their step, copied while it computes the '
        'steps before; 0: each step copies its own',
        at_least=0,
    )


@dataclasses.dataclass(frozen=True)
class TrainingInputOptions(InputOptions, PrefetchOptions):
    """How training records become batches."""

    train_image_size: int | None = option(
        None, "side of the square input in pixels; default: the network's own", at_least=1
    )
    num_readers: int = option(4, 'record files read in parallel', at_least=1)
    deterministic: bool = option(
        True, 'images in exactly the same order at every run; off: whichever is decoded first'
    )
    cache: bool = option(False, 'keep all records in memory, for small sets')


@dataclasses.dataclass(frozen=True)
class AugmentationOptions:
    """What today's recipes add to the preprocessing of training images."""

    randaugment_layers: int = option(
        0,
        'RandAugment: operations per image, in place of the colour changes; 0 for none',
        at_least=0,
    )
    randaugment_magnitude: float = option(
        9.0, 'RandAugment: strength of the operations', at_least=0, at_most=10
    )
    random_erasing: float = option(
        0.0, 'share of the images in which a rectangle is erased', at_least=0, at_most=1
    )
    mixup_alpha: float = option(0.0, 'mixup: both parameters of its Beta draw; 0: none', at_least=0)
    cutmix_alpha: float = option(
        0.0, 'CutMix: both parameters of its Beta draw; 0: none', at_least=0
    )


@dataclasses.dataclass(frozen=True)
class EvaluationInputOptions(InputOptions, PrefetchOptions):
    """How evaluation records become batches."""

    eval_image_size: int | None = option(
        None, "side of the square input in pixels; default: the network's own", at_least=1
    )
    max_num_batches: int | None = option(
        None, 'stop after this many batches; default: every record', at_least=1
    )
    quantize: bool = option(False, 'fake quantisation', refused=CONTRIB_QUANTIZE)
