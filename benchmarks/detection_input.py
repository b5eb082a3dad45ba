"""Pictures a second of the detector's input, beside nothing but the decoder of their PNG files.

  python3 benchmarks/detection_input.py [--pictures=60] [--height=375] [--width=1242]

Draws scenes (datasets/conversion/scenes.py) of that size, gives them the noise of a camera, with
which a PNG file has the 0.8 MB of KITTI's (12 GB are 15,000 pictures), and writes them as records.
Then measures, on one core and on two, each the median of several repeats that take turns:

  training    runtime/input/detection_batches.py, training form, batches of 8
  evaluation  the same, evaluation form
  decoder     the same records in the same order, decoded and nothing else: the limit

Prints pictures a second and a processor second, and the ratios to the limit, which are taken repeat
by repeat.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)

BATCH = 8
NOISE = 4.0  # standard deviation, of 255


def write_records(folder: str, pictures: int, height: int, width: int) -> None:
    import numpy as np
    from PIL import Image

    from datasets.conversion import detection_conversions, scenes

    noise = np.random.RandomState(1)
    with tempfile.TemporaryDirectory() as root:
        scenes.write(root, {'train': pictures}, height, width)
        for path in pathlib.Path(root, 'training', 'image_2').iterdir():
            pixels = np.asarray(Image.open(path)) + noise.normal(0.0, NOISE, (height, width, 3))
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)
        detection_conversions.convert('kitti', root, folder, ['train'], progress=lambda line: None)


def pipelines(folder: str, height: int, width: int, cores: int, custom_op: bool) -> dict:
    import dataclasses

    import tensorflow as tf

    from datasets import detection_factory
    from preprocessing import detection_preprocessing, image_op
    from runtime.input import detection_batches, inputs

    records = detection_factory.get_dataset('kitti', 'train', folder)
    loaded = image_op.load() if custom_op else None
    batch = detection_batches.DetectionFormat(
        BATCH, height, image_width=width, parallel_decodes=cores
    )
    order = inputs.TrainingOrder(1)

    def decoded(number, placed):
        del number
        image = records.decode(records.parse(placed[1])['encoded'])
        return image[0, 0, 0]  # Else copying into batches would be in it.

    numbered = inputs.training_records(records, batch, order)
    many = dataclasses.replace(records, data_sources=records.data_sources * 1000, compressions=())
    train = functools.partial(detection_preprocessing.preprocess_for_train, custom_op=loaded)
    evaluate = functools.partial(detection_preprocessing.preprocess_for_eval, custom_op=loaded)
    return {
        'training': detection_batches.training_batches(records, train, batch, order),
        'evaluation': detection_batches.evaluation_batches(many, evaluate, batch),
        'decoder': numbered.map(decoded, cores, deterministic=True)
        .batch(BATCH)
        .prefetch(tf.data.AUTOTUNE),
    }


def rate(pipeline, batches: int) -> tuple[float, float]:
    """Pictures by second, and by processor second."""
    iterator = iter(pipeline)
    for _ in range(3):
        next(iterator)
    begin, used = time.perf_counter(), time.process_time()
    for _ in range(batches):
        next(iterator)
    pictures = batches * BATCH
    return pictures / (time.perf_counter() - begin), pictures / (time.process_time() - used)


def child(task: dict) -> None:
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[: task['cores']]))
    import tensorflow as tf

    tf.config.threading.set_inter_op_parallelism_threads(task['cores'])
    tf.config.threading.set_intra_op_parallelism_threads(task['cores'])
    names = ('folder', 'height', 'width', 'cores', 'custom_op')
    made = pipelines(**{name: task[name] for name in names})
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in made}
    for _ in range(task['repeats']):
        for name, pipeline in made.items():
            found[name].append(rate(pipeline, task['batches']))
    print(json.dumps(found))


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--pictures', type=int, default=60)
    parser.add_argument('--height', type=int, default=375)
    parser.add_argument('--width', type=int, default=1242)
    parser.add_argument('--batches', type=int, default=15, help='measured per repeat')
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument(
        '--nocustom_image_op', action='store_true', help="measure TensorFlow's operations"
    )
    parser.add_argument('--child', help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(json.loads(arguments.child))
        return
    with tempfile.TemporaryDirectory() as folder:
        write_records(folder, arguments.pictures, arguments.height, arguments.width)
        size = os.path.getsize(os.path.join(folder, 'train_000.tfrecord')) / arguments.pictures
        print(f'{arguments.width}x{arguments.height}, {size / 1000:.0f} KB each')
        for cores in dict.fromkeys((1, min(2, len(os.sched_getaffinity(0))))):
            task = {**vars(arguments), 'folder': folder, 'cores': cores}
            task['custom_op'] = not arguments.nocustom_image_op
            output = subprocess.run(
                [sys.executable, __file__, '--child', json.dumps(task)],
                stdout=subprocess.PIPE,
                stderr=None if os.environ.get('VERBOSE') else subprocess.DEVNULL,
                env={**os.environ, 'CUDA_VISIBLE_DEVICES': '', 'TF_CPP_MIN_LOG_LEVEL': '3'},
                check=True,
            ).stdout
            found = json.loads(output.splitlines()[-1])
            for name, rates in found.items():
                pairs = list(zip(rates, found['decoder'], strict=True))
                by_clock = median([own[0] / limit[0] for own, limit in pairs])
                by_processor = median([own[1] / limit[1] for own, limit in pairs])
                print(
                    f'{cores} core(s), {name:10} {median([own[0] for own in rates]):6.1f} pictures '
                    f'a second, {median([own[1] for own in rates]):6.1f} a processor second; '
                    f'{by_clock:.2f} and {by_processor:.2f} of the limit',
                    flush=True,
                )


if __name__ == '__main__':
    main()
