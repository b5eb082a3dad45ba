"""What a run can be told, as frozen dataclasses: every field is a flag, its default and its help.

Pure Python. `runtime/flags.py` turns the fields into command-line flags and the command line into
instances; everything behind it takes the instances. Names and defaults of the classic flags are
those of the classic suite's Gaudi fork; where its default contradicts its own help
(`preprocessing_name`, `max_num_batches`) the suite it came from decides.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

LEARNING_RATE_DECAY_TYPES = (
    'fixed',
    'exponential',
    'polynomial',
    'cosine',
    'cosine_annealing',
    'cosine_annealing_by_epoch',
    'step',
)
OPTIMIZERS = ('adadelta', 'adagrad', 'adam', 'ftrl', 'momentum', 'sgd', 'rmsprop')
DEVICES = ('auto', 'hpu', 'gpu', 'cpu')
DTYPES = ('fp32', 'bf16', 'fp16')
XLA_CHOICES = ('auto', 'on', 'off')
DATA_ERRORS = ('stop', 'skip')
GRADIENT_COMPRESSIONS = ('none', 'fp16')
NAN_ANSWERS = ('stop', 'skip')
EXPORT_OUTPUTS = ('logits', 'probabilities', 'features')
TENSOR_TYPES = ('float32', 'uint8')
LR_SCALINGS = ('linear', 'sqrt', 'none')
INSPECTION_FORMATS = ('table', 'csv', 'json')
PREDICTION_FORMATS = ('table', 'csv', 'jsonl')

_PARAMETER_SERVERS = (
    'parameter-server training is not supported; use Horovod: '
    'mpirun -np N python3 train_image_classifier.py --use_horovod'
)
_CONTRIB_QUANTIZE = 'tf.contrib.quantize, which rewrote the graph, is not part of TensorFlow 2'


def option(
    default: Any,
    help_text: str,
    *,
    choices: tuple[str, ...] | None = None,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    listed: bool = False,
    refused: str | None = None,
    path: str | None = None,
) -> Any:
    """A dataclass field that is also a flag.

    `listed` is for comma-separated words: a value without any is an error. `path` is for paths:
    'read' or 'written'. `~` then stands for the home folder, and one that is written cannot be
    empty.

    `refused` is for flags that the classic scripts declared and did not obey: any value other than
    the default is an error that gives this reason.
    """
    metadata = {
        'help': help_text,
        'choices': choices,
        'at_least': at_least,
        'above': above,
        'at_most': at_most,
        'listed': listed,
        'refused': refused,
        'path': path,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class DeviceOptions:
    """Where to compute, and in which precision."""

    device: str = option(
        'auto', 'device that computes; auto takes HPU, then GPU, then CPU', choices=DEVICES
    )
    dtype: str = option(
        'fp32', 'precision of activations and gradients; fp16 on a GPU alone', choices=DTYPES
    )
    xla: str = option(
        'auto',
        'compile the graph with XLA, which a first start takes a minute or two for; auto: on a GPU',
        choices=XLA_CHOICES,
    )
    bf16_config_path: str | None = option(
        None, 'JSON file for the bf16 conversion pass of the HPU', path='read'
    )


@dataclasses.dataclass(frozen=True)
class WorkerOptions:
    """Many workers, in training and evaluation alike."""

    use_horovod: bool = option(False, 'data parallelism with Horovod; start with mpirun')
    num_workers: int = option(
        1, 'number of workers; must be the real one (mpirun -np) where it is given', at_least=1
    )


@dataclasses.dataclass(frozen=True)
class ClusterOptions(WorkerOptions):
    """Many workers in training."""

    worker_timeout_secs: int = option(
        600,
        'seconds without a step after which a worker counts as hung and the whole run ends; more '
        'than the first step takes',
        at_least=2,
    )
    gradient_compression: str = option(
        'none', 'how gradients travel between workers', choices=GRADIENT_COMPRESSIONS
    )
    fusion_threshold_mb: int | None = option(
        None, 'gradients are sent in bundles of this size; default: that of Horovod', at_least=0
    )
    fusion_cycle_ms: float | None = option(
        None, 'time in which a bundle is collected; default: that of Horovod', above=0
    )
    check_workers_every_n_steps: int = option(
        1000,
        'steps between two comparisons of all variables of all workers; they are also compared '
        'before the first step and at each save',
        at_least=1,
    )
    cross_replica_batch_norm: bool = option(
        False, 'batch norm uses the moments of the batches of all workers'
    )
    master: str = option('', 'TensorFlow session target; empty computes in this process')
    task: int = option(0, 'index of this replica', refused=_PARAMETER_SERVERS)
    worker_replicas: int = option(1, 'number of replicas', refused=_PARAMETER_SERVERS)
    num_ps_tasks: int = option(0, 'number of parameter servers', refused=_PARAMETER_SERVERS)
    sync_replicas: bool = option(False, 'synchronous updates', refused=_PARAMETER_SERVERS)
    replicas_to_aggregate: int = option(
        1, 'gradients gathered per synchronous update', refused=_PARAMETER_SERVERS
    )


@dataclasses.dataclass(frozen=True)
class LaunchOptions:
    """How the launcher starts many workers."""

    hosts: str | None = option(
        None,
        'hosts of the workers, HOST:WORKERS,...; default: $MULTI_HLS_IPS, or else this host',
    )
    map_by: str | None = option(
        None,
        'how workers get cores of their own; default: $MPI_MAP_BY, or else socket',
        choices=('socket', 'slot', 'none'),
    )
    ssh_port: int | None = option(None, 'port of the SSH servers of --hosts', at_least=1)
    network_interface: str | None = option(
        None, 'interface or network (CIDR) between the hosts; default: $MPI_TCP_INCLUDE'
    )
    hccl_ifname: str | None = option(None, "beginning of the name of HCCL's network interface")
    visible_modules: str | None = option(None, 'Gaudi cards to use, such as 4,5,6,7')
    mpi_log_dir: str | None = option(
        None, 'folder where mpirun puts the output of each worker', path='written'
    )
    stop_grace_secs: int = option(
        30,
        'seconds that workers have to save after a signal, or after one of them died',
        at_least=1,
    )
    max_restarts: int = option(
        0, 'how often training that failed goes on from its last checkpoint', at_least=0
    )
    dry_run: bool = option(False, 'print the commands and run nothing')


@dataclasses.dataclass(frozen=True)
class CloneOptions:
    """Replicas of the network inside one process."""

    num_clones: int = option(1, 'replicas of the network in this process', at_least=1)
    clone_on_cpu: bool = option(False, 'put the clones on the CPU')


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
class TrainingInputOptions(InputOptions):
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
class EvaluationInputOptions(InputOptions):
    """How evaluation records become batches."""

    eval_image_size: int | None = option(
        None, "side of the square input in pixels; default: the network's own", at_least=1
    )
    max_num_batches: int | None = option(
        None, 'stop after this many batches; default: every record', at_least=1
    )
    quantize: bool = option(False, 'fake quantisation', refused=_CONTRIB_QUANTIZE)


@dataclasses.dataclass(frozen=True)
class NetworkOptions:
    """Which network."""

    model_name: str = option('mobilenet_v2', 'name of the network in nets_factory')


@dataclasses.dataclass(frozen=True)
class TrainingNetworkOptions(NetworkOptions):
    """Which network, and how it is regularized."""

    weight_decay: float = option(4e-05, 'L2 coefficient of the weights', at_least=0)
    batch_norm_decay: float | None = option(
        None,
        "decay of the moving statistics of batch norm; default: the network's own "
        '(lower it for runs of a few hundred steps)',
        at_least=0,
        at_most=1,
    )
    label_smoothing: float = option(
        0.1, 'share of the label spread evenly over all classes', at_least=0, at_most=1
    )


@dataclasses.dataclass(frozen=True)
class ScheduleOptions:
    """The learning rate as a function of the step."""

    learning_rate: float = option(0.045, 'initial learning rate', above=0)
    learning_rate_decay_type: str = option(
        'exponential', 'how the rate falls', choices=LEARNING_RATE_DECAY_TYPES
    )
    learning_rate_decay_factor: float = option(
        0.98, 'factor of each exponential or step decay', above=0
    )
    num_epochs_per_decay: float = option(
        2.5,
        'epochs between exponential decays, and between those of cosine_annealing_by_epoch; length '
        'of the polynomial decay',
        above=0,
    )
    lr_scaling: str = option(
        'linear',
        'the rate is multiplied by the number of workers, by its square root, or not',
        choices=LR_SCALINGS,
    )
    end_learning_rate: float = option(
        0.0001, 'rate at the end of polynomial and cosine decay', at_least=0
    )
    decay_epochs: str = option(
        '30,60,80', 'epochs at which step decay multiplies the rate by its factor, comma-separated'
    )
    warmup_epochs: float = option(
        0.0, 'epochs over which the rate climbs linearly from zero to its initial value', at_least=0
    )


@dataclasses.dataclass(frozen=True)
class OptimizerOptions:
    """The optimizer and its constants."""

    optimizer: str = option('rmsprop', 'the optimizer', choices=OPTIMIZERS)
    opt_epsilon: float = option(1.0, 'epsilon of adadelta, adam and rmsprop', above=0)
    adadelta_rho: float = option(0.95, 'decay of adadelta')
    adagrad_initial_accumulator_value: float = option(
        0.1, 'starting value of the adagrad accumulators', above=0
    )
    adam_beta1: float = option(0.9, 'decay of the first moment in adam')
    adam_beta2: float = option(0.999, 'decay of the second moment in adam')
    ftrl_learning_rate_power: float = option(-0.5, 'learning rate power of ftrl', at_most=0)
    ftrl_initial_accumulator_value: float = option(
        0.1, 'starting value of the ftrl accumulators', at_least=0
    )
    ftrl_l1: float = option(0.0, 'L1 strength of ftrl', at_least=0)
    ftrl_l2: float = option(0.0, 'L2 strength of ftrl', at_least=0)
    momentum: float = option(0.9, 'momentum of the momentum optimizer')
    rmsprop_momentum: float = option(0.9, 'momentum of rmsprop')
    rmsprop_decay: float = option(0.9, 'decay of the squared gradients in rmsprop')


@dataclasses.dataclass(frozen=True)
class AverageOptions:
    """Moving averages of the weights."""

    moving_average_decay: float | None = option(
        0.9999,
        'decay of the moving averages over the variables of the network; 0 for none',
        at_least=0,
        at_most=1,
    )


@dataclasses.dataclass(frozen=True)
class FineTuningOptions:
    """Where the weights come from, and which of them learn."""

    checkpoint_path: str | None = option(
        None, 'checkpoint, or folder of one, to fine-tune from', path='read'
    )
    checkpoint_exclude_scopes: str | None = option(
        None,
        'scopes not taken from the checkpoint, comma-separated prefixes of variable names',
        listed=True,
    )
    trainable_scopes: str | None = option(
        None, 'scopes that learn, comma-separated; default: all of them', listed=True
    )
    ignore_missing_vars: bool = option(
        False, 'leave variables that the checkpoint lacks at their initial values'
    )


@dataclasses.dataclass(frozen=True)
class TrainingRunOptions:
    """The length of a training run, and what it leaves behind."""

    train_dir: str = option(
        '/tmp/tfmodel/', 'folder of checkpoints and logs; a run resumes there', path='written'
    )
    max_number_of_steps: int = option(500, 'stop at this step', at_least=1)
    steps_per_run: int = option(
        1,
        'steps in one run of the session, a loop in the graph, so that a card need not wait for '
        'the host after each; signals and losses that are not finite are acted on after as many',
        at_least=1,
    )
    seed: int = option(0, 'seed of weights, shuffling, augmentation and dropout', at_least=0)
    log_every_n_steps: int = option(10, 'steps between two log lines', at_least=1)
    save_summaries_secs: int = option(600, 'seconds between TensorBoard summaries', at_least=1)
    save_interval_secs: int = option(600, 'seconds between checkpoints', at_least=1)
    on_nan: str = option(
        'stop',
        'at a loss or gradient that is not finite: end the run, or skip the step, which then '
        'changes no variable',
        choices=NAN_ANSWERS,
    )
    max_nan_steps: int = option(
        10, 'with --on_nan=skip: the run ends at more such steps than these', at_least=0
    )
    save_interval_steps: int | None = option(
        None, 'steps between checkpoints, beside the seconds; default: seconds alone', at_least=1
    )
    keep_checkpoint_max: int = option(
        5, 'checkpoints to keep, the newest ones; 0 keeps all', at_least=0
    )
    strict_resume: bool = option(
        False, 'stop where the newest checkpoint is damaged; off: resume from the one before'
    )
    precision: str = option(
        'fp32', 'never obeyed', refused='it was only ever printed; --dtype sets the precision'
    )
    quantize_delay: int = option(-1, 'step of fake quantisation', refused=_CONTRIB_QUANTIZE)


@dataclasses.dataclass(frozen=True)
class EvaluationRunOptions:
    """What to evaluate, and where the result goes."""

    checkpoint_path: str = option(
        '/tmp/tfmodel/', 'checkpoint, or folder of one, to evaluate', path='read'
    )
    eval_dir: str = option(
        '/tmp/tfmodel/eval/', 'folder of the result as JSON and summaries', path='written'
    )
    master: str = option('', 'TensorFlow session target; empty computes in this process')
    ignore_sidecar: bool = option(
        False,
        "leave the checkpoint's PREFIX.json unread, and with it the defaults that it gives to "
        '--model_name, --preprocessing_name, --use_grayscale, --labels_offset, --eval_image_size '
        'and --moving_average_decay',
    )


@dataclasses.dataclass(frozen=True)
class Training:
    """Every flag of train_image_classifier.py."""

    dataset: DatasetOptions
    input: TrainingInputOptions
    augmentation: AugmentationOptions
    network: TrainingNetworkOptions
    schedule: ScheduleOptions
    optimizer: OptimizerOptions
    averages: AverageOptions
    tuning: FineTuningOptions
    run: TrainingRunOptions
    clones: CloneOptions
    workers: ClusterOptions
    device: DeviceOptions


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Every flag of eval_image_classifier.py."""

    dataset: EvaluationDatasetOptions
    input: EvaluationInputOptions
    network: NetworkOptions
    averages: AverageOptions
    run: EvaluationRunOptions
    workers: WorkerOptions
    device: DeviceOptions


@dataclasses.dataclass(frozen=True)
class Export:
    """Every flag of export_inference_graph.py."""

    model_name: str = option('inception_v3', 'name of the network in nets_factory')
    output_file: str = option(
        '',
        'file to write; where there are several formats or quantizations, each gets an ending of '
        'its own: m.pb, m_saved_model, m.tflite, m_int8.tflite, m.onnx',
        path='written',
    )
    format: str | None = option(
        None,
        'forms to write, comma-separated: graphdef, saved_model, tflite, onnx; each is loaded back '
        'in a fresh process and compared with the checkpoint; default: the GraphDef alone, as the '
        'classic suite writes it',
        listed=True,
    )
    quantization: str = option(
        'none',
        'of TFLite, comma-separated: none, float16 (weights), dynamic (8-bit weights), int8 '
        '(8 bits throughout, needs --calibration_dir)',
        listed=True,
    )
    output: str = option(
        'logits',
        'what comes out: logits, their softmax, or the pooled features before the classifier',
        choices=EXPORT_OUTPUTS,
    )
    include_preprocessing: bool = option(
        False,
        'GraphDef: the input is image files; TFLite and ONNX: it is pixels of 0..255, cropped and '
        'resized; a SavedModel always has a signature of image files',
    )
    preprocessing_name: str | None = option(
        None, "name of the preprocessing; default: the network's own"
    )
    inference_input_type: str = option(
        'float32',
        'of TFLite: uint8 for --quantization=int8, or for pixels with --include_preprocessing',
        choices=TENSOR_TYPES,
    )
    inference_output_type: str = option(
        'float32', 'of TFLite: uint8 for --quantization=int8', choices=TENSOR_TYPES
    )
    opset: int = option(17, 'of ONNX', at_least=11, at_most=18)
    calibration_dir: str | None = option(
        None,
        'folder of records or of pictures: those that int8 measures its ranges on, and the '
        'comparison its differences; default: pictures made by a seed, which int8 refuses',
        path='read',
    )
    calibration_split: str = option('train', 'split of the records to calibrate on')
    calibration_images: int = option(200, 'images to calibrate on', at_least=16)
    check_images: int = option(
        32, 'images that each file is compared with the checkpoint on', at_least=1
    )
    tolerance: float | None = option(
        None,
        'largest difference to the checkpoint, as a share of its largest output; default: 1e-4 for '
        'float forms; docs/export.md lists the others',
        above=0,
    )
    top_k: int = option(5, 'classes that a SavedModel names for each image file', at_least=1)
    is_training: bool = option(False, 'export the training form of the graph')
    image_size: int | None = option(
        None, "side of the square input in pixels; default: the network's own", at_least=1
    )
    batch_size: int | None = option(None, 'images per batch; default: any number', at_least=1)
    dataset_name: str = option('imagenet', 'data set whose number of classes the network gets')
    dataset_dir: str = option(
        '', 'folder whose dataset.json, if any, gives the number of classes', path='read'
    )
    labels_offset: int = option(0, 'subtracted from the number of classes', at_least=0)
    use_grayscale: bool = option(False, 'input of one channel instead of three')
    is_video_model: bool = option(False, 'input with frames: [batch, frames, height, width, 3]')
    num_frames: int | None = option(None, 'frames of a video; default: any number', at_least=1)
    write_text_graphdef: bool = option(False, 'write the GraphDef as text')
    checkpoint_path: str | None = option(
        None,
        'checkpoint, or folder of one, whose weights become constants of the graph',
        path='read',
    )
    moving_average_decay: float | None = option(
        0.9999,
        'not 0: the weights are the moving averages in the checkpoint',
        at_least=0,
        at_most=1,
    )
    ignore_sidecar: bool = option(
        False,
        "leave the checkpoint's PREFIX.json unread, and with it the defaults that it gives to "
        '--model_name, --preprocessing_name, --use_grayscale, --labels_offset, --image_size and '
        '--moving_average_decay',
    )
    quantize: bool = option(False, 'fake quantisation', refused=_CONTRIB_QUANTIZE)


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


@dataclasses.dataclass(frozen=True)
class Inspection:
    """Every flag of inspect_network.py."""

    model_name: str | None = option(None, 'name of the network in nets_factory')
    num_classes: int | None = option(
        None, "outputs of the network; default: as published, or the checkpoint's", at_least=1
    )
    image_size: int | None = option(
        None, "side of the square input in pixels; default: the network's own", at_least=1
    )
    use_grayscale: bool = option(False, 'input of one channel instead of three')
    num_frames: int | None = option(
        None, 'frames of a video, for a network of videos; default: as published', at_least=1
    )
    list: bool = option(
        False, 'name all networks, preprocessings, data sets, optimizers and schedules'
    )
    checkpoint_path: str | None = option(
        None,
        'checkpoint, or folder of one, to compare with --model_name, or of which the network is '
        'looked for',
        path='read',
    )
    ignore_sidecar: bool = option(
        False, "leave the checkpoint's PREFIX.json unread, and the names in it unused"
    )
    format: str = option('table', 'form of the answer', choices=INSPECTION_FORMATS)


def values(chosen: Any) -> dict[str, Any]:
    """Flag to value, of an option class, or one of option classes."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(chosen):
        value = getattr(chosen, field.name)
        found.update(values(value) if dataclasses.is_dataclass(value) else {field.name: value})
    return found


def with_values(chosen: Any, taken: Mapping[str, Any]) -> Any:
    """The same options with other values for some flags; names of no flag are passed over."""
    changed = {}
    for field in dataclasses.fields(chosen):
        value = getattr(chosen, field.name)
        if dataclasses.is_dataclass(value):
            changed[field.name] = with_values(value, taken)
        elif field.name in taken:
            changed[field.name] = taken[field.name]
    return dataclasses.replace(chosen, **changed)
