"""What it costs to watch a run: validations beside the same evaluation alone, and log and progress.

  python3 benchmarks/watching.py

Evaluates the sample of digits again and again in the session of a training and in that of an
evaluation, in turns, and trains mobilenet_v2 at 224 pixels for some steps, after which the log is
told about steps as often as takes a measurable time: with a line in every tenth, and with a line
drawn in place on a terminal, for steps of this machine and for those of a card. All is measured in
processor seconds, as other work on the machine disturbs those least, on one core.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pathlib
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)
PASSES = 9  # of each kind, in turns
STEPS = 8
TOLD = 2_000  # steps
STEP_OF_A_CARD = 0.03  # seconds
SUMMARIES = 3  # of TensorBoard, told once more each
MOST_OVER_AN_EVALUATION, MOST_OF_A_STEP = 0.05, 0.01
SMALL = ('--model_name=mobilenet_v1_025', '--preprocessing_name=digits', '--batch_size=32')


def parsed(kind: Any, script: str, *words: str) -> Any:
    """The flags of a script with these words on its command line."""
    from absl import flags as absl_flags

    from runtime import app, flags

    known = absl_flags.FlagValues()
    flags.define(kind, known)
    app.parse_flags([script, *words], known)
    return flags.read(kind, known)


def passes_in_training(folder: str, dataset_dir: str) -> Callable[[], Any]:
    """One validation, in a session that has trained a step."""
    import tensorflow.compat.v1 as tf

    from runtime import lookup, options, startup
    from runtime.results import validator
    from runtime.training import graph, schedules

    chosen = parsed(
        options.Training,
        'train_image_classifier.py',
        f'--dataset_dir={dataset_dir}',
        f'--train_dir={folder}',
        *(*SMALL, '--train_image_size=224', '--eval_every_steps=1', '--eval_split_name=validation'),
    )
    runtime = startup.start(chosen.device, chosen.workers)
    parts = lookup.for_training(chosen)
    validated = lookup.for_validation(chosen, parts)
    length = schedules.run_length(chosen, parts.dataset.num_samples, 1)
    with tf.Graph().as_default():
        places, global_step = graph.begin(chosen)
        batches = graph.add_input(chosen, parts, runtime, 0, places)
        clones = graph.add_clones(chosen, runtime, parts, batches, places)
        graph.rewrite_forward_pass(chosen, runtime.cluster, global_step)
        schedule = schedules.schedule(chosen.schedule, length)
        step = graph.add_step(chosen, runtime, schedule, clones, batches, places)
        evaluate = validator.add(chosen, validated, runtime, step.averages)
        session = tf.Session(config=runtime.session_config())
        session.run([tf.global_variables_initializer(), tf.tables_initializer()])
        session.run(step.fetches)
        tf.train.Saver().save(session, os.path.join(folder, 'model.ckpt'), global_step=1)
    return lambda: evaluate(session, lambda: None, lambda: False)


def passes_alone(folder: str, dataset_dir: str) -> Callable[[], Any]:
    """One pass of an evaluation of the same weights, without its start."""
    import tensorflow.compat.v1 as tf

    from runtime import lookup, options, startup
    from runtime.checkpoints import files
    from runtime.results import evaluation_graph, evaluator

    chosen = parsed(
        options.Evaluation,
        'eval_image_classifier.py',
        f'--dataset_dir={dataset_dir}',
        *(*SMALL, '--eval_image_size=224'),
    )
    runtime = startup.start(chosen.device, chosen.workers)
    checkpoint = os.path.join(folder, 'model.ckpt-1')
    with tf.Graph().as_default():
        parts = lookup.for_evaluation(chosen)
        share = evaluation_graph.add_share(chosen, parts, runtime, checkpoint)
        start = tf.tables_initializer()
        session = tf.Session(config=runtime.session_config())
        files.restore(share.weights.saver, session, checkpoint)

    def evaluate() -> Any:
        session.run(start)
        counted = evaluator.each_batch(session, share.counts, share.explain)
        images, *rest = evaluator.summed(list(counted))
        return images, rest

    return evaluate


def seconds(call: Callable[[], Any]) -> float:
    begun = time.process_time()
    call()
    return time.process_time() - begun


def step_secs(folder: str, dataset_dir: str) -> float:
    """Of a steady training step."""
    import json

    import train_image_classifier
    from runtime import options, startup

    chosen = parsed(
        options.Training,
        'train_image_classifier.py',
        f'--dataset_dir={dataset_dir}',
        f'--train_dir={folder}',
        f'--max_number_of_steps={STEPS}',
        *('--model_name=mobilenet_v2', '--batch_size=8', '--log_every_n_steps=1'),
    )
    train_image_classifier.train(chosen, startup.start(chosen.device, chosen.workers))
    lines = pathlib.Path(folder, 'metrics.jsonl').read_text().splitlines()
    return statistics.median(json.loads(line)['sec_per_step'] for line in lines[2:])


def told(folder: str, stream: Any, step: float) -> float:
    """Processor seconds that telling of a step takes, where it is `step` seconds long."""
    from runtime.training import monitor, schedules

    length = schedules.RunLength(TOLD, 8, 1437)
    losses = {'losses/softmax_cross_entropy_loss/value': 2.0, 'Losses/regularization_loss': 0.1}
    shown, real_clock = sys.stdout, time.monotonic
    clock = [0.0]
    watching = monitor.Monitor(folder, length, 10, 600 * SUMMARIES)
    sys.stdout, time.monotonic = stream, lambda: clock[0]
    try:
        watching._bar = stream.isatty()
        watching.start(0)

        def tell() -> None:
            for number in range(1, TOLD + 1):
                clock[0] += step
                watching.after_step(monitor.StepReport(number, 2.0, 0.045, losses, 0.01))

        taken = seconds(tell)
        watching.close()
    finally:
        sys.stdout, time.monotonic = shown, real_clock
    return taken / TOLD


def terminal() -> Any:
    """A terminal that somebody reads from, as a stream."""
    reading, writing = os.openpty()

    def read() -> None:
        with contextlib.suppress(OSError):  # The other end was closed.
            while os.read(reading, 1 << 16):
                pass

    threading.Thread(target=read, daemon=True).start()
    return os.fdopen(writing, 'w')


def main() -> None:
    from runtime import startup

    if hasattr(os, 'sched_setaffinity'):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    startup.import_tensorflow_quietly()
    from datasets.conversion import digits

    dataset_dir = digits.ensure_sample()
    with tempfile.TemporaryDirectory() as folder:
        within = passes_in_training(folder, dataset_dir)
        alone = passes_alone(folder, dataset_dir)
        assert within()[0] == alone()[0]  # The first ones, which are slower, are not measured.
        times = [(seconds(within), seconds(alone)) for _ in range(PASSES)]
        cost = [statistics.median(column) for column in zip(*times, strict=True)]
        over = statistics.median(inside / outside for inside, outside in times) - 1
        print(f'validation within a training {cost[0]:9.3f} processor seconds')
        print(f'the same evaluation alone    {cost[1]:9.3f} processor seconds')
        print(f'more, median of the pairs    {over:9.2%}')
        steps = (step_secs(os.path.join(folder, 'run'), dataset_dir), STEP_OF_A_CARD)
        shares = []
        with open(os.path.join(folder, 'log'), 'w') as log, terminal() as screen:
            kinds = (('log lines into a file', log), ('a line on a terminal', screen))
            for (name, stream), step in itertools.product(kinds, steps):
                taken = told(folder, stream, step)
                shares.append(taken / step)
                print(
                    f'{name:28} {taken * 1e6:9.0f} microseconds a step, {shares[-1]:.3%} of one '
                    f'of {step:.3f} s'
                )
    if over > MOST_OVER_AN_EVALUATION or max(shares) > MOST_OF_A_STEP:
        raise SystemExit('watching costs more than it may')


if __name__ == '__main__':
    main()
