"""The flags of eval_image_classifier.py."""

from __future__ import annotations

import dataclasses

from runtime.options.data import EvaluationDatasetOptions, EvaluationInputOptions
from runtime.options.fields import option
from runtime.options.machine import DeviceOptions, WorkerOptions
from runtime.options.network import AverageOptions, NetworkOptions


@dataclasses.dataclass(frozen=True)
class FollowingOptions:
    """Whether an evaluation goes on with each checkpoint of a run."""

    eval_interval_secs: int | None = option(
        None,
        'follow a run: look for new checkpoints so often, and evaluate each once, to the last one '
        'of the training; default: evaluate one checkpoint',
        at_least=1,
    )
    timeout_secs: int | None = option(
        None,
        'with --eval_interval_secs: end after so long without a new checkpoint; default: wait',
        at_least=1,
    )


@dataclasses.dataclass(frozen=True)
class EvaluationRunOptions(FollowingOptions):
    """What to evaluate, and where the result goes."""

    checkpoint_path: str = option(
        '/tmp/tfmodel/', 'checkpoint, or folder of one, to evaluate', path='read'
    )
    eval_dir: str = option(
        '/tmp/tfmodel/eval/', 'folder of the result as JSON and summaries', path='written'
    )
    report_dir: str | None = option(
        None,
        'folder of a report: index.html, tables and pictures of classes, confusions, mistakes and '
        'calibration, and the predictions of every image; default: none',
        path='written',
    )
    master: str = option('', 'TensorFlow session target; empty computes in this process')
    ignore_sidecar: bool = option(
        False,
        "leave the checkpoint's PREFIX.json unread, and with it the defaults that it gives to "
        '--model_name, --preprocessing_name, --use_grayscale, --labels_offset, --eval_image_size '
        'and --moving_average_decay',
    )


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
