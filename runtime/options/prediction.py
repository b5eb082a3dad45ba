"""The flags of predict_image.py."""

from __future__ import annotations

import dataclasses

from runtime.options.data import DATA_ERRORS, InputOptions
from runtime.options.fields import option
from runtime.options.machine import DeviceOptions
from runtime.options.network import AverageOptions, NetworkOptions

PREDICTION_FORMATS = ('table', 'csv', 'jsonl')


@dataclasses.dataclass(frozen=True)
class PredictionInputOptions(InputOptions):
    """Which pictures, and how they become batches."""

    images: str | None = option(
        None,
        'pictures: a file, a folder with all below it, a pattern such as "shots/*.jpg", or a .txt '
        'file with a path in each line',
        path='read',
    )
    batch_size: int = option(96, 'pictures that are computed together', at_least=1)
    eval_image_size: int | None = option(
        None, "side of the square input in pixels; default: the network's own", at_least=1
    )
    on_data_error: str = option(
        'stop',
        'at a picture that cannot be read: stop and name it, or name it and leave it out',
        choices=DATA_ERRORS,
    )


@dataclasses.dataclass(frozen=True)
class PredictionRunOptions:
    """What predicts, which classes there are, and what becomes of the answer."""

    checkpoint_path: str | None = option(
        None, 'checkpoint, or folder of one, that predicts', path='read'
    )
    exported_file: str | None = option(
        None,
        'in place of a checkpoint: a GraphDef, a TFLite or ONNX file or the folder of a SavedModel',
        path='read',
    )
    ignore_sidecar: bool = option(
        False,
        "leave the checkpoint's PREFIX.json unread, and with it the defaults that it gives to "
        '--model_name, --preprocessing_name, --use_grayscale, --labels_offset, --eval_image_size '
        'and --moving_average_decay, and the names of the classes',
    )
    dataset_name: str = option('imagenet', 'data set that has the classes')
    dataset_dir: str = option(
        '', 'folder whose dataset.json, if any, has the classes and their names', path='read'
    )
    labels_offset: int = option(0, 'subtracted from the number of classes', at_least=0)
    labels_file: str | None = option(
        None, 'names of the classes: lines "label:name", or a name in each line', path='read'
    )
    top_k: int = option(5, 'classes that are named for each picture', at_least=1)
    format: str = option('table', 'form of the answer', choices=PREDICTION_FORMATS)
    output_file: str | None = option(
        None, 'file that gets the answer; default: standard output', path='written'
    )


@dataclasses.dataclass(frozen=True)
class Prediction:
    """Every flag of predict_image.py."""

    input: PredictionInputOptions
    network: NetworkOptions
    averages: AverageOptions
    run: PredictionRunOptions
    device: DeviceOptions
