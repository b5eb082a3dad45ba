"""Images per second on the card at hand, in training and inference, PyTorch's beside them.

  python3 benchmarks/gpu.py                              everything, which takes hours
  python3 benchmarks/gpu.py --models=mobilenet_v2 --batches=256 --precisions=bf16 --xla=on
  python3 benchmarks/gpu.py --device=cpu --models=cifarnet --image_size=32 --batches=4 --steps=2

Each row is a process of its own: its first step, cold and, with XLA, once more from what the first
process has kept; the median rate; the peak of the memory. The batch is made of random numbers and
stays on the card; the graph is that of train_image_classifier.py, with its defaults. PyTorch's rows
are torchvision's networks, channels last, compiled, where both can be imported by --torch_python.
Compare within one run alone. --json=FILE gets a line for each row.
"""

from __future__ import annotations

import argparse
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
import typing
from collections.abc import Callable, Sequence
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
CLASSES = 1001
WARM_UP = 3  # runs that do not count
TURNS = 5  # of which the median counts
MODES = ('training', 'inference')
# Ours to torchvision's; others have no row of PyTorch's.
IN_TORCHVISION = {
    'mobilenet_v2': 'mobilenet_v2',
    'mobilenet_v3_large': 'mobilenet_v3_large',
    'resnet_v1_50': 'resnet50',
}
_OUR_LIBRARIES = ('PYTHONPATH', 'LD_LIBRARY_PATH')  # which another CUDA would find, too


def measured(run: Callable[[], Any], images_per_run: int, runs: int) -> dict[str, float]:
    """The seconds of the first run, and images per second of the later ones."""
    begun = time.perf_counter()
    run()
    first = time.perf_counter() - begun
    for _ in range(WARM_UP):
        run()
    rates = []
    for _ in range(TURNS):
        begun = time.perf_counter()
        for _ in range(runs):
            run()
        rates.append(images_per_run * runs / (time.perf_counter() - begun))
    return {'first_step': first, 'images_per_sec': statistics.median(rates)}


# ---- this project ----


class _OneBatch:
    """In place of the input: a batch of random numbers that stays on the device."""

    def __init__(self, batch_size: int, size: int, image_type: str) -> None:
        import tensorflow.compat.v1 as tf

        def kept(value: Any) -> Any:
            return tf.Variable(value, False, [tf.GraphKeys.LOCAL_VARIABLES], use_resource=True)

        images = tf.random.stateless_uniform([batch_size, size, size, 3], [1, 2], -1.0, 1.0)
        labels = tf.random.stateless_uniform([batch_size], [3, 4], 0, CLASSES, tf.int64)
        self._images, self._labels = kept(tf.cast(images, image_type)), kept(labels)

    def next_batch(self) -> tuple[Any, Any]:
        return self._images.read_value(), self._labels.read_value()

    def tensors(self) -> dict[str, Any]:
        return {}


def measure(case: argparse.Namespace) -> dict[str, Any]:
    """One row of this project."""
    from runtime import options, startup

    device = options.DeviceOptions(device=case.device, dtype=case.precision, xla=case.xla)
    runtime = startup.start(device)
    import tensorflow.compat.v1 as tf

    from nets import nets_factory
    from runtime.devices import precision

    training = case.mode == 'training'
    network_fn = nets_factory.get_network_fn(
        case.model, CLASSES, weight_decay=4e-5 if training else 0.0, is_training=training
    )
    size = case.image_size or network_fn.default_image_size  # type: ignore[attr-defined]
    with tf.Graph().as_default():
        with tf.device(runtime.device.name):
            image_type = precision.image_type(runtime.device.kind, runtime.dtype)
            batch = _OneBatch(case.batch, size, image_type)
        build = _training if training else _inference
        fetches = build(case, runtime, network_fn, batch, size)
        per_run = case.batch * (case.steps_per_run if training else 1)
        with tf.Session(config=runtime.session_config()) as session:
            session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
            run = session.make_callable(fetches)
            found = measured(run, per_run, max(1, case.steps * case.batch // per_run))
    return {**found, 'memory_mib': _peak_memory(runtime.device.kind)}


def _training(
    case: argparse.Namespace, runtime: Any, network_fn: Any, batch: _OneBatch, size: int
) -> Any:
    import tensorflow.compat.v1 as tf

    from runtime import lookup, options
    from runtime.training import graph, schedules

    groups = options.Training.__dataclass_fields__
    kinds = typing.get_type_hints(options.Training)
    chosen = options.with_values(
        options.Training(**{name: kinds[name]() for name in groups}),
        {'batch_size': case.batch, 'steps_per_run': case.steps_per_run},
    )
    network = lookup.Network(network_fn, CLASSES, size)
    parts = lookup.Parts(None, network, lambda *_: None, '')
    length = schedules.RunLength(1_000_000, case.batch, 1_281_167)
    places, global_step = graph.begin(chosen)
    clones = graph.add_clones(chosen, runtime, parts, batch, places)  # type: ignore[arg-type]
    graph.rewrite_forward_pass(chosen, runtime.cluster, global_step)
    schedule = schedules.schedule(chosen.schedule, length)
    step = graph.add_step(chosen, runtime, schedule, clones, batch, places)  # type: ignore[arg-type]
    return tf.nest.flatten(step.fetches)


def _inference(
    case: argparse.Namespace, runtime: Any, network_fn: Any, batch: _OneBatch, size: int
) -> Any:
    import tensorflow.compat.v1 as tf

    from runtime.devices import precision
    from runtime.training import classification

    network_fn = precision.adapt_network(runtime.device.kind, runtime.dtype, network_fn)
    with tf.device(runtime.device.name):
        images, labels = batch.next_batch()
        logits, _ = network_fn(images)
        counts = classification.count_correct(logits, labels, tf.ones([case.batch], tf.bool))
    return [counts.images, counts.top_1, counts.top_5]


def _peak_memory(kind: str) -> float:
    """MiB: of the card's memory that TensorFlow has used at once, or of this process."""
    import tensorflow as tf

    if kind == 'GPU':
        return tf.config.experimental.get_memory_info('GPU:0')['peak'] / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# ---- PyTorch ----


def measure_torch(case: argparse.Namespace) -> dict[str, Any]:
    """The same row of PyTorch's."""
    import torch  # type: ignore[import-not-found]
    import torchvision  # type: ignore[import-not-found]

    device = 'cpu' if case.device == 'cpu' or not torch.cuda.is_available() else 'cuda'
    size = case.image_size or 224
    dtype = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}[case.precision]
    # TensorFlow multiplies in TF32, too.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    layout = torch.channels_last
    network = getattr(torchvision.models, IN_TORCHVISION[case.model])(num_classes=CLASSES)
    network = network.to(device, memory_format=layout)
    images = torch.rand(case.batch, 3, size, size, device=device).to(memory_format=layout)
    labels = torch.randint(0, CLASSES, [case.batch], device=device)

    def logits() -> Any:
        with torch.autocast(device, dtype, enabled=case.precision != 'fp32'):
            return compiled(images)

    def wait() -> None:
        if device == 'cuda':
            torch.cuda.synchronize()

    if case.mode == 'training':
        compiled = torch.compile(network.train())
        optimizer = torch.optim.RMSprop(
            network.parameters(), 0.01, 0.9, momentum=0.9, weight_decay=4e-5
        )
        scaler = torch.amp.GradScaler(device, enabled=case.precision == 'fp16')
        loss_fn = torch.nn.CrossEntropyLoss(label_smoothing=0.1)

        def run() -> None:
            optimizer.zero_grad(set_to_none=True)
            loss = loss_fn(logits().float(), labels)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            wait()
    else:
        # Weights of the precision itself, as a program that only predicts has them.
        network, images = network.eval().to(dtype), images.to(dtype)
        compiled = torch.compile(network)

        def run() -> None:
            with torch.inference_mode():
                compiled(images).argmax(-1)
            wait()

    found = measured(run, case.batch, case.steps)
    peak = torch.cuda.max_memory_allocated() if device == 'cuda' else 0
    return {**found, 'memory_mib': peak / 2**20}


# ---- all rows ----


def cases(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """The rows of this project, in the order in which they are measured."""
    chosen = itertools.product(
        arguments.models,
        arguments.modes,
        arguments.batches,
        arguments.precisions,
        arguments.xla,
    )
    return [
        dict(zip(('model', 'mode', 'batch', 'precision', 'xla'), row, strict=True))
        for row in chosen
        # TensorFlow has fp16 for GPUs alone.
        if not (arguments.device == 'cpu' and row[3] == 'fp16')
    ]


def _in_child(
    python: str, row: dict[str, Any], arguments: argparse.Namespace, cache: str
) -> dict[str, Any]:
    """The row, measured in a process of its own; `error` says why there are no numbers."""
    shared = {
        name: getattr(arguments, name)
        for name in ('device', 'image_size', 'steps', 'steps_per_run')
    }
    environment = {**os.environ, 'TF_SLIM_SUITE_CACHE': cache}
    if row['by'] == 'PyTorch':
        environment = {name: v for name, v in environment.items() if name not in _OUR_LIBRARIES}
    done = subprocess.run(
        [python, __file__, f'--row={json.dumps({**shared, **row})}'],
        capture_output=True,
        text=True,
        errors='replace',
        env=environment,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f'exit code {done.returncode}']
        return {**row, 'error': said[-1][:200]}
    return {**row, **json.loads(done.stdout.splitlines()[-1])}


def _shown(row: dict[str, Any]) -> str:
    name = f'{row["by"]:<11}{row["model"]:<19}{row["mode"]:<10}{row["batch"]:>5}  '
    name += f'{row["precision"]}  {"XLA" if row["xla"] == "on" else "   "}'
    if 'error' in row:
        return f'{name}  {row["error"]}'
    line = f'{name} {row["images_per_sec"]:>9,.1f} images/s  first step {row["first_step"]:6.1f} s'
    if 'cached' in row:
        line += f', from the cache {row["cached"]:.1f} s at {row["cached_rate"]:,.1f} images/s'
    return f'{line}  peak {row["memory_mib"]:,.0f} MiB'


def card() -> str:
    """What nvidia-smi says of the first card."""
    command = [
        'nvidia-smi',
        '--query-gpu=name,driver_version,memory.total',
        '--format=csv,noheader',
    ]
    try:
        said = subprocess.run(command, capture_output=True, text=True).stdout
    except OSError:
        said = ''
    return said.splitlines()[0] if said.strip() else 'no NVIDIA card'


def _has_torch(python: str) -> bool:
    ours = {name: value for name, value in os.environ.items() if name not in _OUR_LIBRARIES}
    try:
        tried = [python, '-c', 'import torch, torchvision']
        return not subprocess.run(tried, capture_output=True, env=ours).returncode
    except OSError:
        return False


def compare(arguments: argparse.Namespace) -> None:
    """Measures and prints all rows."""
    print(f'card: {card()}; {len(os.sched_getaffinity(0))} cores', flush=True)
    torch = bool(arguments.torch_python) and _has_torch(arguments.torch_python)
    if not torch:
        print('PyTorch and torchvision are not there: no rows of theirs')
    seen = set()
    for case in cases(arguments):
        rows = [{'by': 'this suite', **case}]
        theirs = {'by': 'PyTorch', **case, 'xla': 'off'}
        if torch and case['model'] in IN_TORCHVISION and str(theirs) not in seen:
            seen.add(str(theirs))
            rows.append(theirs)
        for row in rows:
            python = arguments.torch_python if row['by'] == 'PyTorch' else sys.executable
            with tempfile.TemporaryDirectory() as cache:
                found = _in_child(python, row, arguments, cache)
                if row['xla'] == 'on' and 'error' not in found and not arguments.cold_only:
                    again = _in_child(python, row, arguments, cache)
                    found['cached'] = again.get('first_step', float('nan'))
                    found['cached_rate'] = again.get('images_per_sec', float('nan'))
            print(_shown(found), flush=True)
            if arguments.json:
                with open(arguments.json, 'a') as file:
                    file.write(json.dumps({'card': card(), **found}) + '\n')


def _words(text: str) -> list[str]:
    return text.split(',')


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--models', type=_words, default=list(IN_TORCHVISION))
    parser.add_argument('--modes', type=_words, default=list(MODES))
    parser.add_argument('--precisions', type=_words, default=['fp32', 'bf16', 'fp16'])
    parser.add_argument('--xla', type=_words, default=['on', 'off'])
    parser.add_argument(
        '--batches', type=lambda text: [int(word) for word in _words(text)], default=[96, 256, 1024]
    )
    parser.add_argument('--device', default='auto', choices=('auto', 'gpu', 'cpu'))
    parser.add_argument('--image_size', type=int, default=0, help="0 is the network's own")
    parser.add_argument('--steps', type=int, default=30, help=f'of each of {TURNS} turns')
    parser.add_argument('--steps_per_run', type=int, default=1)
    parser.add_argument('--cold_only', action='store_true', help='no second start from the cache')
    parser.add_argument(
        '--torch_python', default=sys.executable, help="empty: no rows of PyTorch's"
    )
    parser.add_argument('--json', help='file that gets a line for each row')
    parser.add_argument('--row', type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if not arguments.row:
        compare(arguments)
        return
    case = argparse.Namespace(**arguments.row)
    print(json.dumps((measure_torch if case.by == 'PyTorch' else measure)(case)))


if __name__ == '__main__':
    sys.path[0] = str(ROOT)
    main()
