"""Training throughput of the Keras MobileNetV2 beside that of train_image_classifier.py.

  python3 benchmarks/keras.py

Both train at 224 pixels on the built-in sample with RMSProp, moving averages and label smoothing,
in turn, several times. Prints the images per second of each, of the median step, and their ratio,
of the medians over the rounds; beside it the same of processor seconds, which other programs on the
machine disturb less.
"""

from __future__ import annotations

import itertools
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)
ROUNDS = 3
STEPS, WARM_UP_STEPS = 20, 5  # The first steps fill caches and pipelines.
BATCH = 32
# The child prints a line of JSON: a pair for each step, seconds and processor seconds so far.
_CHILD = '--child'


def slim_steps(dataset_dir: str, folder: str) -> None:
    """In a child process: the steps of train_image_classifier.py."""
    import train_image_classifier
    from runtime import app, flags, options, startup
    from runtime.training import monitor

    app.parse_flags(
        [
            'train_image_classifier.py',
            f'--dataset_dir={dataset_dir}',
            f'--train_dir={folder}',
            '--model_name=mobilenet_v2',
            f'--batch_size={BATCH}',
            f'--max_number_of_steps={STEPS}',
        ]
    )
    chosen = flags.read(options.Training)
    times: list[tuple[float, float]] = []
    after_step = monitor.Monitor.after_step

    def timed(self: monitor.Monitor, report: monitor.StepReport) -> None:
        times.append(_now())
        after_step(self, report)

    monitor.Monitor.after_step = timed  # type: ignore[method-assign]
    train_image_classifier.train(chosen, startup.start(chosen.device, chosen.workers))
    print(json.dumps(times))


def keras_steps(dataset_dir: str, folder: str) -> None:
    """In a child process: the steps of the Keras trainer, with the same preprocessing."""
    del folder
    from runtime import options as runtime_options
    from runtime import startup

    runtime = startup.start(runtime_options.DeviceOptions())
    import tensorflow as tf

    from mobilenet import dataset_loader, mobilenet_trainer
    from mobilenet.configs import archs
    from mobilenet.configs import dataset as dataset_configs
    from mobilenet.training import engine as engine_lib
    from runtime.input import inputs

    config = dataset_loader.located(
        dataset_configs.FolderConfig(data_dir=dataset_dir, preprocessing_name='inception')
    )
    split = dataset_loader.open_split(config)
    model = mobilenet_trainer.build_model('mobilenet_v2', archs.MobileNetV2Config(), config)
    optimizer = mobilenet_trainer._get_optimizer(BATCH, config.num_examples // BATCH)
    engine = engine_lib.Engine(
        model, optimizer, tf.distribute.get_strategy(), runtime.cluster, 0.1, 0.9999
    )
    batches = iter(dataset_loader.training_batches(split, BATCH, inputs.TrainingOrder(0)))
    times = []
    for _ in range(STEPS):
        engine.train(lambda: next(batches))
        engine.local_sums()  # Waits for the step.
        times.append(_now())
    print(json.dumps(times))


_SYSTEMS = {'keras': keras_steps, 'slim': slim_steps}


def _now() -> tuple[float, float]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return time.monotonic(), usage.ru_utime + usage.ru_stime


def measure(system: str, dataset_dir: str) -> list[float]:
    """Images a second and a processor second, of the median step of one run."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(ROOT / 'benchmarks/keras.py'), _CHILD]
        finished = subprocess.run(
            [*command, system, dataset_dir, folder], capture_output=True, text=True
        )
    if finished.returncode:
        raise SystemExit(finished.stdout + finished.stderr)
    times = json.loads(finished.stdout.splitlines()[-1])[WARM_UP_STEPS:]
    pairs = list(itertools.pairwise(times))
    return [
        BATCH / statistics.median(after[kind] - before[kind] for before, after in pairs)
        for kind in (0, 1)
    ]


def main() -> None:
    if sys.argv[1:2] == [_CHILD]:
        _SYSTEMS[sys.argv[2]](*sys.argv[3:5])
        return
    from datasets.conversion import digits

    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    dataset_dir = digits.ensure_sample()
    rates: dict[str, list[list[float]]] = {system: [] for system in _SYSTEMS}
    for number in range(ROUNDS):
        for system, values in rates.items():
            values.append(measure(system, dataset_dir))
            wall, processor = values[-1]
            print(
                f'round {number + 1}: {system:5} {wall:6.1f} images/s, {processor:6.1f} a '
                'processor second',
                flush=True,
            )
    keras, slim = (
        [statistics.median(kind) for kind in zip(*values, strict=True)] for values in rates.values()
    )
    print(
        f'keras / slim: {keras[0] / slim[0]:.3f} by the clock, {keras[1] / slim[1]:.3f} by '
        'processor seconds'
    )


if __name__ == '__main__':
    main()
