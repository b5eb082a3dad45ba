"""The flags of train_image_classifier.py."""

from __future__ import annotations

import dataclasses

from runtime.options.data import AugmentationOptions, DatasetOptions, TrainingInputOptions
from runtime.options.fields import CONTRIB_QUANTIZE, option
from runtime.options.machine import CloneOptions, ClusterOptions, DeviceOptions
from runtime.options.network import AverageOptions, TrainingNetworkOptions
from runtime.options.validation import ValidationOptions
from runtime.options.watching import WatchingOptions

LEARNING_RATE_DECAY_TYPES = (
    'fixed',
    'exponential',
    'polynomial',
    'cosine',
    'cosine_annealing',
    'cosine_annealing_by_epoch',
    'step',
)
OPTIMIZERS = (
    *('adadelta', 'adagrad', 'adam', 'ftrl', 'lars', 'momentum', 'sgd', 'rmsprop', 'yellowfin'),
)
NAN_ANSWERS = ('stop', 'skip')
LR_SCALINGS = ('linear', 'sqrt', 'none')


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
    momentum: float = option(0.9, 'momentum of the momentum optimizer and of lars')
    lars_trust_coefficient: float = option(
        0.001, 'step of a weight in lars, as a share of its norm, at a rate of 1', above=0
    )
    clip_gradient_norm: float | None = option(
        None, 'norm that the gradient of each variable by itself is clipped to', above=0
    )
    clip_global_norm: float | None = option(
        None, 'norm that all gradients together are clipped to', above=0
    )
    rmsprop_momentum: float = option(0.9, 'momentum of rmsprop')
    rmsprop_decay: float = option(0.9, 'decay of the squared gradients in rmsprop')
    yellowfin_beta: float = option(
        0.999, 'decay of the averages that yellowfin measures by', at_least=0, at_most=0.999999
    )
    yellowfin_curvature_window_width: int = option(
        20, 'steps among which yellowfin looks for the range of curvature', at_least=1
    )
    yellowfin_clip_thresh: float | None = option(
        None, 'norm that yellowfin clips a gradient to before measuring it', above=0
    )
    yellowfin_adapt_clip: bool = option(
        True, 'yellowfin clips gradients far beyond the curvature that it has seen'
    )
    yellowfin_stat_protect_fac: float = option(
        100.0,
        'with --yellowfin_adapt_clip: by how much, squared, a measured gradient may be beyond',
        at_least=1,
    )
    yellowfin_zero_debias: bool = option(
        True, 'averages of yellowfin are free of the bias of their start'
    )
    yellowfin_log_smooth: bool = option(
        True, 'yellowfin averages the range of curvature by its logarithm'
    )
    yellowfin_slow_start: bool = option(
        True, 'the rate of yellowfin climbs over ten windows of curvature'
    )
    yellowfin_use_unsmoothed_lr_mu: bool = option(
        True, "yellowfin applies each step's rate and momentum; off: their averages"
    )
    yellowfin_delta_mu: float = option(0.0, 'what yellowfin adds to the momentum')


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
    freeze_batch_norm: bool = option(
        False,
        'batch norm uses the statistics of the checkpoint, which stay; its scale and offset learn',
    )


@dataclasses.dataclass(frozen=True)
class TrainingRunOptions:
    """The length of a training run, and what it leaves behind."""

    train_dir: str = option(
        '/tmp/tfmodel/', 'folder of checkpoints and logs; a run resumes there', path='written'
    )
    max_number_of_steps: int = option(500, 'stop at this step', at_least=1)
    accumulate_steps: int = option(
        1,
        'batches whose gradients are averaged before an update; all that counts steps counts '
        'updates',
        at_least=1,
    )
    recalibrate_batch_norm: int = option(
        0,
        'after the last step, compute the statistics of batch norm anew over so many training '
        'batches of each worker; 0 leaves the moving ones',
        at_least=0,
    )
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
    plot_curves: bool = option(
        True,
        'at the end of a run draw its curves into curves.png, where the extra `plot` is installed',
    )
    strict_resume: bool = option(
        False, 'stop where the newest checkpoint is damaged; off: resume from the one before'
    )
    precision: str = option(
        'fp32', 'never obeyed', refused='it was only ever printed; --dtype sets the precision'
    )
    quantize_delay: int = option(-1, 'step of fake quantisation', refused=CONTRIB_QUANTIZE)


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
    validation: ValidationOptions = dataclasses.field(default_factory=ValidationOptions)
    watching: WatchingOptions = dataclasses.field(default_factory=WatchingOptions)
