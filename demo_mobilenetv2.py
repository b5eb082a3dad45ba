"""Trains MobileNetV2 and evaluates it: one command, from any working directory.

  python3 demo_mobilenetv2.py                            the built-in sample of handwritten digits
  python3 demo_mobilenetv2.py --dataset_dir=/data/imagenet --max_number_of_steps=100000
  python3 demo_mobilenetv2.py --dataset_dir=/data/imagenet --dtype=bf16
  python3 demo_mobilenetv2.py --computation_type=validation --train_dir=/tmp/run ...
  python3 demo_mobilenetv2.py --use_horovod --num_workers=8 --dataset_dir=/data/imagenet

With --dataset_dir it trains with the published hyper-parameters, without it with a recipe for small
pictures. Every flag of train_image_classifier.py and eval_image_classifier.py may be given and
wins. Ends with the exit code of the script that failed, or 0.
"""

from __future__ import annotations

import dataclasses
import os
import shlex
import tempfile
import time
from typing import Any

from absl import flags as absl_flags

from runtime import app, flags, options, startup
from runtime.workers import launcher
from slim import errors

# Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018, section 6.1, as
# the classic suite's launcher spells it.
PUBLISHED_RECIPE = {
    'model_name': 'mobilenet_v2',
    'preprocessing_name': 'inception_v2',
    'learning_rate': 0.045,
    'learning_rate_decay_factor': 0.98,
    'num_epochs_per_decay': 2.5,
    'batch_size': 96,
    'label_smoothing': 0.1,
    'moving_average_decay': 0.9999,
    'log_every_n_steps': 20,
}
# A narrow network at 32 pixels, for a run of a minute or two: the statistics of batch norm must
# follow it, and at the published rate one seed in a few stays near 90 %.
SAMPLE_RECIPE = {
    **PUBLISHED_RECIPE,
    'model_name': 'mobilenet_v2_035',
    'preprocessing_name': 'digits',
    'train_image_size': 32,
    'eval_image_size': 32,
    'batch_size': 64,
    'label_smoothing': 0.0,
    'learning_rate': 0.01,
    'learning_rate_decay_type': 'cosine',
    'warmup_epochs': 5.0,
    'batch_norm_decay': 0.99,
    'max_number_of_steps': 2000,
    'log_every_n_steps': 100,
}
_COMPUTATIONS = {
    'train': ('train',),
    'validation': ('validation',),
    'all': ('train', 'validation'),
}


@dataclasses.dataclass(frozen=True)
class Launch:
    """The launcher's own flags."""

    computation_type: str = options.option(
        'all', 'what to run: training, evaluation, or both', choices=tuple(_COMPUTATIONS)
    )


flags.define(Launch)
flags.define(options.LaunchOptions)
flags.define(options.Training)
flags.define(options.Evaluation)


def main() -> int:
    """Runs the scripts one after the other; returns the first exit code that is not 0."""
    parts = _COMPUTATIONS[flags.read(Launch).computation_type]
    launch, workers = flags.read(options.LaunchOptions), flags.read(options.WorkerOptions)
    for part, command in zip(parts, commands(flags.given(), parts), strict=True):
        if workers.use_horovod:
            device = flags.read(options.DeviceOptions).device
            command = launcher.for_workers(command, workers.num_workers, device, launch)
        if launch.dry_run:
            print(shlex.join(command))
            continue
        print(f'running {shlex.join(command[1:])}', flush=True)
        restarts = launch.max_restarts if part == 'train' else 0
        code = launcher.run(command, restarts, launcher.mpi_environment(launch))
        if code:
            return code
    return 0


def commands(given: dict[str, Any], parts: tuple[str, ...]) -> list[list[str]]:
    """The argument lists of the scripts.

    Args:
      given: the flags on the command line, name to value.
      parts: 'train', 'validation' or both.

    Raises:
      UsageError: a flag that cannot be meant for all of the parts.
    """
    if len(parts) > 1 and 'dataset_split_name' in given:
        raise errors.UsageError(
            '--dataset_split_name with --computation_type=all would train and evaluate on the same '
            'images; give --computation_type=train or validation'
        )
    if given.get('use_horovod') and 'num_workers' not in given:
        raise errors.UsageError('--use_horovod: say how many workers to start with --num_workers=N')
    if given.get('num_workers', 1) > 1 and not given.get('use_horovod'):
        raise errors.UsageError(
            f'--num_workers={given["num_workers"]} goes with --use_horovod, which starts them with '
            'mpirun'
        )
    values = {**_recipe(given), **given}
    train_dir = values.get('train_dir') or absl_flags.FLAGS['train_dir'].default
    evaluation = {
        'checkpoint_path': train_dir,
        'eval_dir': os.path.join(train_dir, 'eval'),
        **values,
    }
    if len(parts) > 1:
        # The one given is where training starts from; what it makes is evaluated.
        evaluation['checkpoint_path'] = train_dir
    scripts = {
        'train': ('train_image_classifier.py', options.Training, values),
        'validation': ('eval_image_classifier.py', options.Evaluation, evaluation),
    }
    return [_command(*scripts[part]) for part in parts]


def _recipe(given: dict[str, Any]) -> dict[str, Any]:
    if given.get('dataset_dir'):
        recipe = dict(PUBLISHED_RECIPE)
        if 'model_name' in given:
            recipe.pop('preprocessing_name')  # Another network takes its own.
        return recipe
    startup.import_tensorflow_quietly()
    from datasets.conversion import digits

    started = time.strftime('%Y%m%d-%H%M%S')
    train_dir = os.path.join(tempfile.gettempdir(), f'mobilenetv2-digits-{started}-{os.getpid()}')
    return {
        **_for_workers(SAMPLE_RECIPE, given.get('num_workers', 1)),
        'dataset_dir': digits.ensure_sample(),
        'train_dir': train_dir,
    }


def _for_workers(recipe: dict[str, Any], workers: int) -> dict[str, Any]:
    """The same epochs on many workers, which take N times the images in a step.

    The decay of batch norm's statistics counts steps: N times fewer of them want its Nth power.
    """
    return {
        **recipe,
        'max_number_of_steps': max(1, recipe['max_number_of_steps'] // workers),
        'batch_norm_decay': recipe['batch_norm_decay'] ** workers,
    }


def _command(script: str, group: type, values: dict[str, Any]) -> list[str]:
    names = flags.names(group)
    known = {name: value for name, value in values.items() if name in names}
    return launcher.script_command(script, known)


if __name__ == '__main__':
    app.run(main)
