"""What the trainer can be told: every field is a flag, as in runtime/options/. Pure Python."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from mobilenet.configs import archs, defaults
from mobilenet.configs import dataset as dataset_configs
from mobilenet.training import names
from runtime.options import DEVICES, WorkerOptions, option, with_values


@dataclasses.dataclass(frozen=True)
class Classic:
    """The flags that the trainer has always had."""

    model_name: str = option('mobilenet_v1', 'network', choices=tuple(archs.MODEL_CONFIGS))
    dataset_name: str = option(
        'imagenette',
        'imagenette, imagenet2012, mnist, digits, or the name in the dataset.json of --data_dir, '
        'which may then be left out. With neither flag: the built-in digits, with a recipe of '
        'their own for what other flags do not say: '
        + ', '.join(f'{name} {value}' for name, value in dataset_configs.DIGITS_RECIPE.items()),
    )
    model_dir: str = option('./tmp', 'folder of checkpoints and logs', path='written')
    data_dir: str | None = option(None, 'folder of the TFRecord files', path='read')
    resume_checkpoint: bool = option(
        False, 'go on from the newest checkpoint in --model_dir; off: --model_dir must hold none'
    )
    optimizer_name: str = option(
        defaults.OP_NAME_DEFAULT, 'the optimizer', choices=names.OPTIMIZERS
    )
    learning_scheduler_name: str = option(
        defaults.LR_NAME_DEFAULT,
        'how the rate falls; all schedules have a warm-up',
        choices=tuple(names.SCHEDULES),
    )
    op_momentum: float = option(0.9, 'momentum of momentum and rmsprop', at_least=0)
    op_decay_rate: float = option(0.9, 'decay of the squared gradients in rmsprop', at_least=0)
    lr: float = option(
        0.008,
        'initial rate of the exponential schedule; the others start from .1 for 256 images a step '
        'unless this is given',
        above=0,
    )
    lr_decay_rate: float = option(0.97, 'factor of each exponential decay', above=0)
    lr_decay_epochs: float = option(2.4, 'epochs between exponential decays', above=0)
    label_smoothing: float = option(
        0.0, 'share of the label spread evenly over all classes', at_least=0, at_most=1
    )
    ma_decay_rate: float | None = option(
        None,
        'decay of moving averages of the weights, which are then evaluated and saved as the model; '
        'default: none',
        at_least=0,
        at_most=1,
    )
    dropout_rate: float = option(
        0.2, 'share of the features left out before the classifier', at_least=0, at_most=0.99
    )
    std_weight_decay: float = option(4e-5, 'L2 coefficient of the kernels', at_least=0)
    truncated_normal_stddev: float = option(
        0.09, 'standard deviation of the first kernels; below 0: Glorot'
    )
    batch_norm_decay: float = option(
        0.9997, 'decay of the moving statistics of batch norm', at_least=0, at_most=1
    )
    batch_size: int = option(4, 'images per batch and replica', at_least=1)
    epochs: int = option(5, 'epochs at whose end the run stops', at_least=1)


@dataclasses.dataclass(frozen=True)
class Further:
    """The flags that came later."""

    width_multiplier: float = option(1.0, 'width of the network (alpha)', above=0)
    image_size: int | None = option(
        None, 'side of the square input in pixels; default: that of the data set', at_least=8
    )
    warmup_epochs: float = option(5.0, 'epochs in which the rate climbs from 0', at_least=0)
    lr_boundaries: str | None = option(
        None,
        'epochs at which piecewise_constant and stepwise change the rate, comma-separated; '
        'default: 30,60,80',
        listed=True,
    )
    lr_multipliers: str | None = option(
        None,
        'their factors, one more than boundaries: of the first rate, for stepwise the rate per '
        'image of a batch; default: 1,.1,.01,.001 of the first rate',
        listed=True,
    )
    eval_split: str | None = option(
        None, 'split to evaluate; default: validation, of mnist test; none: no evaluation'
    )
    num_devices: int | None = option(
        None,
        'replicas in this process: GPUs, or parts of the CPU; default: every GPU, or one CPU',
        at_least=1,
    )
    seed: int = option(0, 'seed of weights, shuffling, augmentation and dropout', at_least=0)
    plot: bool = option(False, 'draw history.png at the end; needs the extra plot (matplotlib)')
    device: str = option(
        'auto', 'device that computes; auto takes HPU, then GPU, then CPU', choices=DEVICES
    )


@dataclasses.dataclass(frozen=True)
class Trainer:
    """Every flag of mobilenet_trainer."""

    classic: Classic
    further: Further
    workers: WorkerOptions


def with_recipe(chosen: Trainer, given: Mapping[str, Any]) -> Trainer:
    """The options with the digits' recipe in what was not `given`, where the digits are meant."""
    digits = chosen.classic.dataset_name == 'digits' and 'dataset_name' in given
    if not digits and ('dataset_name' in given or chosen.classic.data_dir):
        return chosen
    recipe = {
        name: value
        for name, value in dataset_configs.DIGITS_RECIPE.items()
        if name not in given and not (name == 'lr' and 'learning_scheduler_name' in given)
    }
    return with_values(chosen, {**recipe, 'dataset_name': 'digits'})


def default() -> Trainer:
    """All defaults."""
    return Trainer(Classic(), Further(), WorkerOptions())
