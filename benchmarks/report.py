"""What a report costs beyond its evaluation: seconds and memory, with made-up rows.

  python3 benchmarks/report.py [--images=50000] [--classes=1000] [--report_dir=/tmp/report]

Makes up predictions in which some classes are taken for others, and records that hold the pictures
of the mistakes, and writes the report that `eval_image_classifier.py --report_dir` writes. Fails
where that takes a minute or a gigabyte.
"""

from __future__ import annotations

import argparse
import pathlib
import resource
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)
MOST_SECONDS, MOST_MEGABYTES = 60, 1000
FILES = 20


def write_records(folder: str, images: int, labels: np.ndarray) -> list[str]:
    """Record files of a small picture each, in the classes' colours."""
    import io

    from PIL import Image

    from datasets.records import example_format, framing

    written = {}
    for label in np.unique(labels).tolist():
        content = io.BytesIO()
        colour = (label * 37 % 256, label * 91 % 256, label * 53 % 256)
        Image.new('RGB', (64, 48), colour).save(content, 'JPEG')
        written[label] = content.getvalue()
    paths = []
    for number, part in enumerate(np.array_split(np.arange(images), FILES)):
        paths.append(f'{folder}/validation-{number:05d}-of-{FILES:05d}')
        with open(paths[-1], 'wb') as file:
            for image in part.tolist():
                label = int(labels[image])
                name = f'ILSVRC2012_val_{image:08d}.JPEG'
                record = example_format.encode_example(written[label], label, 48, 64, filename=name)
                framing.write_record(file, record)
    return paths


def make_logits(labels: np.ndarray, classes: int, random: np.random.Generator) -> np.ndarray:
    """Of one batch; a class is often taken for the next one."""
    logits = random.normal(size=[len(labels), classes]).astype(np.float32)
    rows = np.arange(len(labels))
    logits[rows, labels] += random.normal(6, 2.5, len(labels))
    logits[rows, (labels + 1) % classes] += random.normal(3, 2, len(labels)) * (labels % 3 == 0)
    return logits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--images', type=int, default=50_000)
    parser.add_argument('--classes', type=int, default=1000)
    parser.add_argument('--report_dir', help='keeps the report there')
    chosen = parser.parse_args()

    from runtime import startup

    startup.import_tensorflow_quietly()
    import tensorflow.compat.v1 as tf

    from datasets import imagenet
    from datasets.dataset import Dataset
    from datasets.records import example_format
    from runtime.results.reports import report, rows

    random = np.random.default_rng(0)
    labels = random.integers(chosen.classes, size=chosen.images)
    names = imagenet.create_readable_names_for_imagenet_labels()
    with tempfile.TemporaryDirectory() as folder:
        dataset = Dataset(
            name='made-up',
            split_name='validation',
            data_sources=tuple(write_records(folder, chosen.images, labels)),
            num_samples=chosen.images,
            num_classes=chosen.classes + 1,
            has_background=True,
            labels_to_names={n: names.get(n, f'class {n}') for n in range(chosen.classes + 1)},
            parse=example_format.parse_example,
            decode=example_format.decode_image,
        )
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begin, used = time.monotonic(), time.process_time()
        with tf.Graph().as_default(), tf.Session() as session:
            fed = tf.placeholder(tf.float32, [None, chosen.classes])
            labelled = tf.placeholder(tf.int64, [None])
            told = [tf.placeholder(kind, [None]) for kind in (tf.int64, tf.int64, tf.string)]
            kept = rows.Collector(rows.of_batch(fed, labelled, told), range(FILES))
            made_up = 0.0
            for file, part in enumerate(np.array_split(np.arange(chosen.images), FILES)):
                for first in range(0, len(part), 100):
                    images = part[first : first + 100]
                    started = time.process_time()
                    logits = make_logits(labels[images], chosen.classes, random)
                    made_up += time.process_time() - started
                    image_names = [f'ILSVRC2012_val_{n:08d}.JPEG'.encode() for n in images]
                    values = (np.full(len(images), file), images - part[0], image_names)
                    feed = {fed: logits, labelled: labels[images]}
                    feed.update(zip(told, values, strict=True))
                    kept.take(session.run(kept.tensors, feed))
        collected = time.process_time() - used - made_up
        everything = kept.rows
        assert everything is not None
        right = everything.right.mean()
        result = {
            **{'checkpoint': '/tmp/run/model.ckpt-1', 'step': 1, 'weights': 'moving averages'},
            **{'images': chosen.images, 'expected_images': chosen.images, 'accuracy': right},
            **{'recall_5': (everything.places < 5).mean(), 'image_size': 224, 'dtype': 'fp32'},
            **{'model_name': 'made_up', 'preprocessing_name': 'made_up'},
            **{'dataset_name': dataset.name, 'dataset_split_name': dataset.split_name},
            'tensorflow_version': tf.__version__,
        }
        used = time.process_time()
        where = chosen.report_dir or f'{folder}/report'
        report.write(where, everything, dataset, chosen.classes, 1, result)
        written = time.process_time() - used
        wall = time.monotonic() - begin - made_up
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f'{collected:8.1f} processor seconds to keep the rows of {chosen.images} images')
    print(f'{written:8.1f} processor seconds to write the report')
    print(f'{wall:8.1f} seconds in all, and {more:.0f} MB at most beside what was there')
    # Of the processor, so that a busy machine gives the same verdict.
    if collected + written > MOST_SECONDS or more > MOST_MEGABYTES:
        raise SystemExit('the report costs more than it may')


if __name__ == '__main__':
    main()
