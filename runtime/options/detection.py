"""The flags of the detector's scripts."""

from __future__ import annotations

import dataclasses

from runtime.options.data import DATA_ERRORS, DatasetOptions, PrefetchOptions
from runtime.options.evaluation import FollowingOptions
from runtime.options.export import TENSOR_TYPES
from runtime.options.fields import option
from runtime.options.machine import CloneOptions, ClusterOptions, DeviceOptions
from runtime.options.network import AverageOptions
from runtime.options.training import (
    OPTIMIZERS,
    FineTuningOptions,
    OptimizerOptions,
    ScheduleOptions,
    TrainingRunOptions,
)
from runtime.options.watching import WatchingOptions

RULES = ('2017', '2012', 'squeezedet')
_IGNORE_SIDECAR_HELP = (
    "leave the checkpoint's PREFIX.json unread, and with it the defaults that it gives to "
    '--model_name, --width_multiplier, --image_height, --image_width and --moving_average_decay'
)


@dataclasses.dataclass(frozen=True)
class DetectionDatasetOptions(DatasetOptions):
    """Which records."""

    dataset_name: str = option(
        'kitti', 'name of the data set: kitti, pascalvoc or scenes, the generated sample'
    )


@dataclasses.dataclass(frozen=True)
class DetectionEvaluationDatasetOptions(DetectionDatasetOptions):
    """Which records to evaluate."""

    dataset_split_name: str = option('val', 'split to read')


@dataclasses.dataclass(frozen=True)
class FrameOptions:
    """The size that all pictures are brought to."""

    image_height: int = option(375, 'height of the frame of all pictures, in pixels', at_least=1)
    image_width: int = option(1242, 'width of the frame of all pictures, in pixels', at_least=1)


@dataclasses.dataclass(frozen=True)
class DetectionInputOptions(FrameOptions):
    """How records become batches."""

    batch_size: int = option(20, 'pictures per batch, per clone and per worker', at_least=1)
    num_preprocessing_threads: int = option(
        4,
        'pictures decoded in parallel; 0 lets tf.data choose; not given: as many as there are '
        'cores, and no fewer than 4',
        at_least=0,
    )
    custom_image_op: bool = option(
        True, 'resize and colour pictures by the compiled operation where it has been built'
    )
    on_data_error: str = option(
        'stop', 'at a record that cannot be used: stop and name it, or skip it', choices=DATA_ERRORS
    )


@dataclasses.dataclass(frozen=True)
class DetectionTrainingInputOptions(DetectionInputOptions, PrefetchOptions):
    """How training records become batches."""

    preprocessing_name: str | None = option(
        None,
        'name of the preprocessing',
        choices=('mobilenetdet',),
    )
    train_image_size: int | None = option(
        None,
        'side of a square frame',
        refused='it was never obeyed; --image_height and --image_width set the frame',
    )
    augment: bool = option(
        True, 'shift, mirror and colour the pictures; off: the same pictures each epoch'
    )
    num_readers: int = option(4, 'record files read in parallel', at_least=1)
    deterministic: bool = option(
        True, 'pictures in exactly the same order at every run; off: whichever is decoded first'
    )
    cache: bool = option(False, 'keep all records in memory, for small sets')


@dataclasses.dataclass(frozen=True)
class DetectorOptions:
    """Which network."""

    model_name: str = option(
        'mobilenetdet',
        'network below the head: mobilenetdet, or one of the mobilenet_v1 and mobilenet_v2 rows',
    )
    width_multiplier: float = option(
        1.0, "factor on the network's width; 1.0: the width that its name says", above=0
    )


@dataclasses.dataclass(frozen=True)
class DetectorTrainingOptions(DetectorOptions):
    """Which network, and how it is regularized."""

    weight_decay: float = option(1e-4, 'L2 coefficient of the weights below the head', at_least=0)
    batch_norm_decay: float | None = option(
        None,
        "decay of the moving statistics of batch norm; default: the network's own "
        '(lower it for runs of a few hundred steps)',
        at_least=0,
        at_most=1,
    )
    dropout_keep_prob: float = option(
        0.5, 'share of the last layer that is kept below the head', above=0, at_most=1
    )
    label_smoothing: float = option(0.0, 'never obeyed', refused='boxes have no smoothed labels')


@dataclasses.dataclass(frozen=True)
class DetectionScheduleOptions(ScheduleOptions):
    """The learning rate as a function of the step."""

    learning_rate: float = option(0.01, 'initial learning rate', above=0)
    learning_rate_decay_factor: float = option(
        0.5, 'factor of each exponential or step decay', above=0
    )
    decay_every_n_steps: int = option(
        10_000, 'steps between exponential decays, unless --num_epochs_per_decay is given', above=0
    )


@dataclasses.dataclass(frozen=True)
class DetectionOptimizerOptions(OptimizerOptions):
    """The optimizer and its constants."""

    optimizer: str = option('momentum', 'the optimizer', choices=OPTIMIZERS)
    clip_gradient_norm: float | None = option(
        1.0, 'greatest norm of the gradient of each variable; 0 for none', at_least=0
    )


@dataclasses.dataclass(frozen=True)
class DetectionAverageOptions(AverageOptions):
    """Moving averages of the weights."""

    moving_average_decay: float | None = option(
        None,
        'decay of the moving averages over the variables of the network; default: none',
        at_least=0,
        at_most=1,
    )


@dataclasses.dataclass(frozen=True)
class DetectionRunOptions(TrainingRunOptions):
    """The length of a training run, and what it leaves behind."""

    max_number_of_steps: int = option(90_000, 'stop at this step', at_least=1)


@dataclasses.dataclass(frozen=True)
class DetectionTraining:
    """Every flag of train_object_detector.py."""

    dataset: DetectionDatasetOptions
    input: DetectionTrainingInputOptions
    network: DetectorTrainingOptions
    schedule: DetectionScheduleOptions
    optimizer: DetectionOptimizerOptions
    averages: DetectionAverageOptions
    tuning: FineTuningOptions
    run: DetectionRunOptions
    clones: CloneOptions
    workers: ClusterOptions
    device: DeviceOptions
    watching: WatchingOptions = dataclasses.field(default_factory=WatchingOptions)


@dataclasses.dataclass(frozen=True)
class DetectionEvaluationRunOptions(FollowingOptions):
    """What to evaluate, by which rules, and where the result goes."""

    checkpoint_path: str = option(
        '/tmp/tfmodel/', 'checkpoint, or folder of one, to evaluate', path='read'
    )
    eval_dir: str = option(
        '/tmp/tfmodel/eval/',
        'folder of the figures as JSON and summaries, and of the detections as KITTI result files',
        path='written',
    )
    drawn_pictures: int = option(
        12,
        'pictures of the split in EVAL_DIR/pictures.html, with their objects and what was found '
        'with a score of 0.4 and above; 0 for none',
        at_least=0,
    )
    kitti_rules: str = option(
        '2017',
        "version of KITTI's tool: 2017; 2012, where objects of exactly the least height count; "
        'squeezedet, where low detections are not left out either, for its published figures',
        choices=RULES,
    )
    ignore_sidecar: bool = option(False, _IGNORE_SIDECAR_HELP)


@dataclasses.dataclass(frozen=True)
class DetectionEvaluation:
    """Every flag of eval_object_detector.py."""

    dataset: DetectionEvaluationDatasetOptions
    input: DetectionInputOptions
    network: DetectorOptions
    averages: DetectionAverageOptions
    run: DetectionEvaluationRunOptions
    device: DeviceOptions


@dataclasses.dataclass(frozen=True)
class DetectionExport(FrameOptions, DetectorOptions, DetectionAverageOptions):
    """Every flag of export_object_detector.py."""

    checkpoint_path: str | None = option(
        None, 'checkpoint, or folder of one, to export', path='read'
    )
    output_file: str = option(
        '',
        'file to write; where there are several formats or quantizations, each gets an ending of '
        'its own: m.pb, m_saved_model, m.tflite, m_float16.tflite, m.onnx',
        path='written',
    )
    format: str = option(
        'tflite',
        'forms to write, comma-separated: graphdef, saved_model, tflite, onnx',
        listed=True,
    )
    quantization: str = option(
        'none',
        'of TFLite, comma-separated: none, float16 (weights), dynamic (8-bit weights)',
        listed=True,
    )
    suppress: bool = option(
        True,
        'decoded boxes are reduced to the 64 best, and of those to one for each object; off: boxes,'
        ' scores and classes of all anchors come out',
    )
    include_preprocessing: bool = option(
        False,
        'TFLite and ONNX: the input is pixels of 0..255, brought to the size of the frame; '
        'GraphDef: it is an image file; a SavedModel always has a signature of image files',
    )
    inference_input_type: str = option(
        'float32', 'of TFLite with --include_preprocessing: uint8', choices=TENSOR_TYPES
    )
    opset: int = option(17, 'of ONNX', at_least=13, at_most=18)
    write_text_graphdef: bool = option(False, 'write the GraphDef as text')
    check_dir: str | None = option(
        None,
        'folder of records or of pictures that files are compared with the checkpoint on; default: '
        'generated scenes',
        path='read',
    )
    check_split: str = option('val', 'split of the records to compare on')
    check_images: int = option(
        16, 'pictures that each file is compared with the checkpoint on', at_least=1
    )
    tolerance: float | None = option(
        None,
        'largest difference to the checkpoint, as a share of the frame and of a score of 1; '
        'default: 1e-4 for float forms; docs/export.md lists the others',
        above=0,
    )
    dataset_name: str = option(
        'kitti', 'data set whose classes it finds, where no file beside the checkpoint says it'
    )
    dataset_dir: str = option('', 'folder whose dataset.json, if any, has the classes', path='read')
    ignore_sidecar: bool = option(False, _IGNORE_SIDECAR_HELP)
