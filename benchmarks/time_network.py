"""What one batch costs: forward, and forward and backward, of any network on the device at hand.

  python3 benchmarks/time_network.py                                mobilenet_v2, one image
  python3 benchmarks/time_network.py --model_name=resnet_v1_50 --batch_size=8 --steps=50
  python3 benchmarks/time_network.py --model_name=mobilenet_v3_large --dtype=bf16 --xla=on
  python3 benchmarks/time_network.py --json=/tmp/mobilenet_v2.json

Images are random numbers that lie on the device, and there is no input pipeline. Forward is the
inference form up to the logits; forward-backward is the training form with the gradients of all
variables that learn, without their update. Each runs in a process of its own, so that it has its
own peak of memory. The first --warmup steps, which build and compile, are timed apart.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)
_COLUMNS = ('mean', 'stdev', 'median', 'p95')


def summary(seconds: Sequence[float], batch_size: int) -> dict[str, float]:
    """Milliseconds of a step, and images per second at the mean."""
    ordered = sorted(seconds)
    mean = statistics.fmean(seconds)
    values = {
        'mean': mean,
        'stdev': statistics.stdev(seconds) if len(seconds) > 1 else 0.0,
        'median': statistics.median(seconds),
        # The smallest that 95 of 100 steps do not exceed.
        'p95': ordered[-(-95 * len(ordered) // 100) - 1],
    }
    milliseconds = {f'{name}_ms': value * 1000 for name, value in values.items()}
    return {**milliseconds, 'images_per_sec': batch_size / mean}


def forward(network: Callable[..., Any], images: Any) -> Any:
    """A number that the logits are needed for; to fetch it waits for the device."""
    import tensorflow.compat.v1 as tf

    logits, _ = network(images)
    return tf.reduce_sum(tf.cast(logits, tf.float32))


def forward_backward(network: Callable[..., Any], images: Any) -> Any:
    """The same of the gradients of everything that learns."""
    import tensorflow.compat.v1 as tf

    logits, _ = network(images)
    loss = tf.nn.l2_loss(tf.cast(logits, tf.float32))
    gradients = [g for g in tf.gradients(loss, tf.trainable_variables()) if g is not None]
    return tf.add_n([tf.reduce_sum(gradient) for gradient in gradients])


PARTS = {'forward': forward, 'forward_backward': forward_backward}


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """One of PARTS, in this process."""
    from runtime import options, startup

    chosen = options.DeviceOptions(arguments.device, arguments.dtype, arguments.xla)
    runtime = startup.start(chosen)
    import tensorflow.compat.v1 as tf

    from nets import nets_factory
    from runtime import lookup
    from runtime.devices import precision

    warnings.simplefilter('ignore')
    asked = options.Inspection(
        model_name=arguments.model_name,
        image_size=arguments.image_size,
        num_frames=arguments.num_frames,
    )
    bare = lookup.for_inspection(asked)
    part = arguments.part
    with tf.Graph().as_default():
        network = nets_factory.get_network_fn(
            arguments.model_name, bare.network.num_classes, is_training=part == 'forward_backward'
        )
        network = precision.adapt_network(runtime.device.kind, arguments.dtype, network)
        with tf.device(runtime.device.name):
            shape = [arguments.batch_size, *bare.input_shape]
            images = tf.Variable(
                lambda: tf.random.uniform(shape, -1, 1, seed=1), trainable=False, use_resource=True
            )
            fetched = PARTS[part](network, images)
        if part == 'forward_backward':
            fetched, _ = precision.adapt_training_graph(
                runtime.device.kind, arguments.dtype, fetched
            )
        with tf.Session(config=runtime.session_config()) as session:
            session.run(tf.global_variables_initializer())
            warming = timed(session, fetched, arguments.warmup)
            seconds = timed(session, fetched, arguments.steps)
    return {
        **summary(seconds, arguments.batch_size),
        'warmup_secs': sum(warming),
        'peak_memory_mb': peak_memory(runtime.device.kind) / 1e6,
        'input': images.shape.as_list(),
        'device': runtime.device.kind,
        'xla': runtime.xla,
        'tensorflow_version': tf.__version__,
    }


def timed(session: Any, fetched: Any, steps: int) -> list[float]:
    seconds = []
    for _ in range(steps):
        begin = time.perf_counter()
        session.run(fetched)
        seconds.append(time.perf_counter() - begin)
    return seconds


def peak_memory(kind: str) -> int:
    """Bytes: of the card, or of this process, TensorFlow itself included."""
    if kind == 'GPU':
        import tensorflow as tf

        return tf.config.experimental.get_memory_info('GPU:0')['peak']
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    from runtime import options

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--model_name', default='mobilenet_v2')
    parser.add_argument('--batch_size', type=int, default=1)
    parser.add_argument('--image_size', type=int, help="pixels; default: the network's own")
    parser.add_argument('--num_frames', type=int, help='of a video network')
    parser.add_argument('--steps', type=int, default=100, help='that are timed')
    parser.add_argument('--warmup', type=int, default=10, help='steps before them')
    parser.add_argument('--device', default='auto', choices=options.DEVICES)
    parser.add_argument('--dtype', default='fp32', choices=options.DTYPES)
    parser.add_argument('--xla', default='auto', choices=options.XLA_CHOICES)
    parser.add_argument('--json', metavar='FILE', help='gets the numbers as well')
    parser.add_argument('--part', choices=PARTS, help='measure this one, in this process')
    arguments = parser.parse_args()
    for name in ('batch_size', 'steps'):
        if getattr(arguments, name) < 1:
            parser.error(f'--{name} must be at least 1')
    if arguments.part:
        print(json.dumps(measure(arguments)))
        return
    found = {}
    for part in PARTS:
        command = [sys.executable, __file__, *sys.argv[1:], f'--part={part}']
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(done.returncode)
        found[part] = json.loads(done.stdout.splitlines()[-1])
    show(arguments, found)
    if arguments.json:
        asked = {name: value for name, value in vars(arguments).items() if name != 'part'}
        pathlib.Path(arguments.json).write_text(json.dumps({**asked, **found}, indent=1) + '\n')


def show(arguments: argparse.Namespace, found: dict[str, dict[str, Any]]) -> None:
    first = found['forward']
    sizes = 'x'.join(map(str, first['input']))
    print(
        f'{arguments.model_name}, input {sizes}, {first["device"]}, {arguments.dtype}'
        f'{", XLA" if first["xla"] else ""}, TensorFlow {first["tensorflow_version"]}, '
        f'{arguments.steps} steps after {arguments.warmup}'
    )
    heads = [*(f'{name} ms' for name in _COLUMNS), 'images/s', 'memory MB', 'warm-up s']
    print(f'{"":18}' + ''.join(f'{head:>11}' for head in heads))
    for part, values in found.items():
        numbers = [
            *(values[f'{name}_ms'] for name in _COLUMNS),
            *(values[key] for key in ('images_per_sec', 'peak_memory_mb', 'warmup_secs')),
        ]
        print(f'{part:18}' + ''.join(f'{number:11.2f}' for number in numbers))


if __name__ == '__main__':
    from slim import errors

    try:
        main()
    except errors.SuiteError as failure:
        sys.exit(f'error: {failure}')
