"""Pictures per second of predict_image.py beside those of eval_image_classifier.py.

  python3 benchmarks/predict.py
  python3 benchmarks/predict.py --model_name=mobilenet_v1_025 --pictures=500 --repeats=5

Makes JPEG files of 500x375 pixels with the detail of photographs, writes the same files into
records, and has both scripts go through them with the same untrained checkpoint, in turns. Prints
the wall clock and the processor seconds of each whole command, start and all, their medians, and
the ratio of predictions to evaluations per second of each.
"""

from __future__ import annotations

import argparse
import io
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)
WIDTH, HEIGHT = 500, 375
LEAST = 0.9  # of evaluation's images per second


class Cost(NamedTuple):
    wall: float
    processor: float


def make_pictures(folder: pathlib.Path, count: int) -> None:
    """Noise of several sizes, which compresses like a photograph: about 110 KB each."""
    import numpy as np
    from PIL import Image

    random = np.random.RandomState(0)
    for number in range(count):
        pixels = np.zeros([HEIGHT, WIDTH, 3])
        for cells in (3, 12, 50, 200):
            coarse = random.uniform(-1, 1, [cells, cells, 3])
            channels = [
                Image.fromarray(coarse[..., channel].astype(np.float32)).resize(
                    (WIDTH, HEIGHT), Image.Resampling.BICUBIC
                )
                for channel in range(3)
            ]
            pixels += 90 / cells**0.3 * np.stack(channels, axis=-1)
        picture = Image.fromarray(np.clip(pixels + 127, 0, 255).astype(np.uint8))
        file = io.BytesIO()
        picture.save(file, 'JPEG', quality=92)
        (folder / f'{number:05d}.jpg').write_bytes(file.getvalue())


def write_records(pictures: pathlib.Path, folder: pathlib.Path) -> None:
    from datasets.records import description, example_format, framing
    from datasets.records.description import Description, Split

    files = sorted(pictures.iterdir())
    with open(folder / 'validation-00000-of-00001', 'wb') as records:
        for file in files:
            record = example_format.encode_example(file.read_bytes(), 1, HEIGHT, WIDTH)
            framing.write_record(records, record)
    about = Description('pictures', 1001, True, {'validation': Split(len(files), 1)})
    description.write_description(str(folder), about)


def save_checkpoint(model_name: str, folder: pathlib.Path) -> None:
    import tensorflow.compat.v1 as tf

    import slim
    from nets import nets_factory

    network = nets_factory.get_network_fn(model_name, 1001)
    size = network.default_image_size
    with tf.Graph().as_default(), tf.Session() as session:
        network(tf.placeholder(tf.float32, [1, size, size, 3]))
        session.run(tf.global_variables_initializer())
        tf.train.Saver(slim.get_model_variables()).save(session, str(folder / 'model.ckpt'))


def run(command: list[str]) -> Cost:
    begin, before = time.perf_counter(), os.times()
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    after = os.times()
    used = after.children_user + after.children_system
    used -= before.children_user + before.children_system
    return Cost(time.perf_counter() - begin, used)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--model_name', default='mobilenet_v2')
    parser.add_argument('--pictures', type=int, default=1000)
    parser.add_argument('--repeats', type=int, default=3)
    arguments = parser.parse_args()
    from runtime import startup

    startup.import_tensorflow_quietly()
    with tempfile.TemporaryDirectory() as made:
        folder = pathlib.Path(made)
        for name in ('pictures', 'records', 'checkpoint'):
            (folder / name).mkdir()
        make_pictures(folder / 'pictures', arguments.pictures)
        write_records(folder / 'pictures', folder / 'records')
        save_checkpoint(arguments.model_name, folder / 'checkpoint')
        common = [
            f'--checkpoint_path={folder / "checkpoint"}',
            f'--model_name={arguments.model_name}',
            f'--dataset_dir={folder / "records"}',
            '--moving_average_decay=0',
        ]
        commands = {
            'evaluation': [
                str(ROOT / 'eval_image_classifier.py'),
                f'--eval_dir={folder / "eval"}',
                *common,
            ],
            'prediction': [
                str(ROOT / 'predict_image.py'),
                f'--images={folder / "pictures"}',
                '--format=csv',
                f'--output_file={folder / "predictions.csv"}',
                *common,
            ],
        }
        costs: dict[str, list[Cost]] = {name: [] for name in commands}
        for _ in range(arguments.repeats):
            for name, command in commands.items():
                costs[name].append(run(command))
                print(
                    f'{name}: {costs[name][-1].wall:.1f} s, processor '
                    f'{costs[name][-1].processor:.1f} s',
                    flush=True,
                )
    medians = {
        name: Cost(*(statistics.median(column) for column in zip(*found, strict=True)))
        for name, found in costs.items()
    }
    for name, cost in medians.items():
        rate = arguments.pictures / cost.wall
        print(f'{name}: median {cost.wall:.1f} s, {rate:.1f} pictures/s of {arguments.model_name}')
    evaluation, prediction = medians['evaluation'], medians['prediction']
    ratios = evaluation.wall / prediction.wall, evaluation.processor / prediction.processor
    print(f'pictures/s beside evaluation: {ratios[0]:.2f}; per processor second {ratios[1]:.2f}')
    if ratios[1] < LEAST:
        sys.exit(f'below {LEAST}')


if __name__ == '__main__':
    main()
