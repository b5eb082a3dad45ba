"""Images a second of the input pipeline beside the classic formulation and the limit of the JPEGs.

  python3 benchmarks/input_pipeline.py [--repeats=5] [--size=224] [--nocustom_image_op]

Makes records of 500x375 JPEG files of about 57 KB, and of 2000x1500, out of the two photographs
that scikit-learn ships. Then measures, pinned to one core and on two, each the median of several
repeats that take turns:

  classic         decode whole, to float, slice, resize, flip, brightness and saturation
  ours            runtime/input/inputs.py with the Inception preprocessing, training form, by the
                  compiled operation or, with --nocustom_image_op, by TensorFlow's
  decode-and-crop the same records and windows, nothing but the decoder: the limit of training
  evaluation      runtime/input/inputs.py, evaluation form
  whole decode    the limit of evaluation

All but the limits make batches of 96. Prints images a second and ratios; the repeats' ratios are
taken one by one, since other programs slow all of them. Then the same for the large photographs,
where the time goes, and the memory that the pipeline adds to the process.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)

BATCH = 96
FILES = 7
# Name: pixels, JPEG quality, images, batches measured per repeat.
SETS = {
    '500x375': ((500, 375), 92, 240, 4),
    '2000x1500': ((2000, 1500), 92, 48, 1),
}


def write_records(folder: str, size: tuple[int, int], quality: int, count: int) -> float:
    """Writes the record files; returns the mean size of an image in KB."""
    import tensorflow as tf
    from PIL import Image
    from sklearn.datasets import load_sample_images

    from datasets.records import example_format

    draw = random.Random(1)
    photographs = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    total = 0
    for number in range(FILES):
        path = os.path.join(folder, f'train-{number:05d}-of-{FILES:05d}')
        with tf.io.TFRecordWriter(path) as writer:
            for image in range(number, count, FILES):
                photograph = draw.choice(photographs)
                part = draw.uniform(0.5, 1.0)
                width, height = (int(side * part) for side in photograph.size)
                left = draw.randint(0, photograph.size[0] - width)
                top = draw.randint(0, photograph.size[1] - height)
                file = io.BytesIO()
                box = (left, top, left + width, top + height)
                photograph.crop(box).resize(size).save(file, 'JPEG', quality=quality)
                total += len(file.getvalue())
                record = example_format.encode_example(
                    file.getvalue(), 1 + image % 1000, size[1], size[0]
                )
                writer.write(record)
    return total / count / 1000


class Pipelines:
    """The pipelines to measure, by name, over one set of records."""

    def __init__(
        self, folder: str, count: int, image_size: int, cores: int, custom_op: bool
    ) -> None:
        from datasets import dataset
        from datasets.records import example_format
        from preprocessing import image_op

        self._custom_op = image_op.load() if custom_op else None
        self._size, self._cores = image_size, cores
        files = sorted(str(path) for path in pathlib.Path(folder).iterdir())
        self._records = dataset.Dataset(
            'photographs',
            'train',
            tuple(files),
            count,
            1001,
            True,
            None,
            example_format.parse_example,
            example_format.decode_image,
        )

    def ours(self):
        from preprocessing import preprocessing_factory
        from runtime.input import inputs

        preprocess = preprocessing_factory.get_encoded_preprocessing(
            'inception', self._records.decode, is_training=True, custom_op=self._custom_op
        )
        return inputs.training_batches(
            self._records, preprocess, self._format(), inputs.TrainingOrder(1)
        )

    def evaluation(self):
        from preprocessing import preprocessing_factory
        from runtime.input import inputs

        many = dataclasses.replace(self._records, data_sources=self._records.data_sources * 1000)
        preprocess = preprocessing_factory.get_encoded_preprocessing(
            'inception', many.decode, custom_op=self._custom_op
        )
        return inputs.evaluation_batches(many, preprocess, self._format())

    def classic(self):
        import tensorflow as tf

        def example(seed, features):
            image = tf.io.decode_jpeg(features['encoded'], channels=3)
            image = tf.image.convert_image_dtype(image, tf.float32)
            begin, size, _ = self._window(tf.shape(image), seed)
            image = tf.slice(image, begin, size)
            image.set_shape([None, None, 3])
            image = tf.compat.v1.image.resize_images(image, [self._size, self._size])
            image = tf.image.stateless_random_flip_left_right(image, seed)
            image = tf.image.stateless_random_brightness(image, 32.0 / 255.0, seed)
            image = tf.image.stateless_random_saturation(image, 0.5, 1.5, seed)
            return (tf.clip_by_value(image, 0.0, 1.0) - 0.5) * 2.0, features['label']

        return self._map(example).batch(BATCH, drop_remainder=True).prefetch(2)

    def decode_and_crop(self):
        return self._steps('decode')

    def whole_decode(self):
        import tensorflow as tf

        def example(seed, features):
            del seed
            return self._one_pixel(tf.io.decode_jpeg(features['encoded'], channels=3))

        return self._map(example).batch(BATCH).prefetch(2)

    def steps(self, last: str):
        """The training pipeline up to a step."""
        return self._steps(last)

    def _steps(self, last: str):
        import tensorflow as tf

        from preprocessing import inception_preprocessing as inception

        def example(seed, features):
            if last == 'parse':
                return features['label']
            shape = tf.image.extract_jpeg_shape(features['encoded'])
            begin, size, _ = self._window(shape, seed)
            window = tf.concat([begin[:2], size[:2]], axis=0)
            crop = tf.image.decode_and_crop_jpeg(features['encoded'], window, channels=3)
            if last == 'decode':
                return self._one_pixel(crop)
            image = inception._resize_bytes(crop, self._size, self._size, self._custom_op)
            if last == 'resize':
                return image
            draws = tf.random.stateless_uniform([5], seed)
            if self._custom_op:
                return inception._distort_in_one_pass(
                    crop, self._size, self._size, draws, self._custom_op
                )
            return inception._distort_fast(image, draws)

        if last == 'read':
            return self._numbered().map(lambda number, record: number).batch(BATCH).prefetch(2)
        return self._map(example).batch(BATCH).prefetch(2)

    def _format(self):
        from runtime.input import inputs

        return inputs.BatchFormat(BATCH, self._size, parallel_decodes=self._cores)

    def _numbered(self):
        from runtime.input import inputs

        numbered = inputs.training_records(self._records, self._format(), inputs.TrainingOrder(1))
        return numbered.map(lambda number, placed: (number, placed[1]))

    def _map(self, example):
        import tensorflow as tf

        def parsed(number, record):
            seed = tf.stack([1, tf.cast(number, tf.int32)])
            return example(seed, self._records.parse(record))

        return self._numbered().map(parsed, self._cores, deterministic=True)

    @staticmethod
    def _window(shape, seed):
        import tensorflow as tf

        return tf.image.stateless_sample_distorted_bounding_box(
            shape,
            bounding_boxes=tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
            seed=seed,
            min_object_covered=0.1,
            aspect_ratio_range=[0.75, 1.33],
            area_range=[0.05, 1.0],
            max_attempts=100,
            use_image_if_no_bounding_boxes=True,
        )

    @staticmethod
    def _one_pixel(image):
        # Else it would be no limit of the decoder, but one of copying images into batches.
        return image[0, 0, 0]


def rate(pipeline, batches: int) -> float:
    """Images a second, the first batches, with all that is done once, left out."""
    iterator = iter(pipeline)
    for _ in range(3):  # What waits in the buffers at the end is about what waited at the start.
        next(iterator)
    begin = time.perf_counter()
    for _ in range(batches):
        next(iterator)
    return batches * BATCH / (time.perf_counter() - begin)


def measure(pipelines: dict, batches: int, repeats: int) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = {name: [] for name in pipelines}
    for _ in range(repeats):
        for name, pipeline in pipelines.items():
            rates[name].append(rate(pipeline, batches))
    return rates


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def child(task: dict) -> None:
    """Measures one set on so many cores; prints a JSON line."""
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[: task['cores']]))
    import resource

    import tensorflow as tf

    tf.config.threading.set_inter_op_parallelism_threads(task['cores'])
    tf.config.threading.set_intra_op_parallelism_threads(task['cores'])
    made = Pipelines(task['folder'], task['count'], task['size'], task['cores'], task['custom_op'])
    if task['what'] == 'memory':
        next(iter(tf.data.Dataset.range(1)))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        rate(made.ours(), 12)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps({'before': before / 1000, 'after': after / 1000}))
        return
    if task['what'] == 'steps':
        pipelines = {
            name: made.steps(name) for name in ('read', 'parse', 'decode', 'resize', 'colour')
        }
    else:
        pipelines = {
            'classic': made.classic(),
            'ours': made.ours(),
            'decode-and-crop': made.decode_and_crop(),
            'evaluation': made.evaluation(),
            'whole decode': made.whole_decode(),
        }
    print(json.dumps(measure(pipelines, task['batches'], task['repeats'])))


def run_child(**task) -> dict:
    environment = {**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '3', 'CUDA_VISIBLE_DEVICES': ''}
    output = subprocess.run(
        [sys.executable, __file__, '--child', json.dumps(task)],
        stdout=subprocess.PIPE,
        stderr=None if os.environ.get('VERBOSE') else subprocess.DEVNULL,
        env=environment,
        check=True,
    ).stdout
    return json.loads(output.splitlines()[-1])


def report(title: str, rates: dict[str, list[float]]) -> None:
    def ratio(of: str, to: str) -> str:
        pairs = zip(rates[of], rates[to], strict=True)
        return f'{of} / {to} {median([a / b for a, b in pairs]):.2f}'

    shown = '  '.join(f'{name} {median(values):,.0f}' for name, values in rates.items())
    print(f'{title}: {shown} images a second', flush=True)
    print(
        f'  {ratio("ours", "classic")}   {ratio("ours", "decode-and-crop")}   '
        f'{ratio("evaluation", "whole decode")}',
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--size', type=int, default=224)
    parser.add_argument(
        '--nocustom_image_op', action='store_true', help="measure TensorFlow's operations"
    )
    parser.add_argument('--child', help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(json.loads(arguments.child))
        return
    if not arguments.nocustom_image_op:
        from preprocessing import image_op

        if not image_op.load():
            parser.error(f'not built: {image_op.BUILD_COMMAND}, or give --nocustom_image_op')
    cores = min(2, len(os.sched_getaffinity(0)))
    with tempfile.TemporaryDirectory() as folder:
        for name, (size, quality, count, batches) in SETS.items():
            place = os.path.join(folder, name)
            os.mkdir(place)
            kilobytes = write_records(place, size, quality, count)
            print(f'{name}, {kilobytes:.0f} KB each')
            task = {
                'folder': place,
                'count': count,
                'size': arguments.size,
                'batches': batches,
                'repeats': arguments.repeats,
                'custom_op': not arguments.nocustom_image_op,
            }
            for number in dict.fromkeys((1, cores)):
                rates = run_child(what='rates', cores=number, **task)
                report(f'{name}, {number} core(s)', rates)
            if name == next(iter(SETS)):
                steps = run_child(what='steps', cores=1, **task)
                before = 0.0
                for step, values in steps.items():
                    microseconds = 1e6 / median(values)
                    print(f'  {step:8} {microseconds - before:6.0f} us per image on one core')
                    before = microseconds
            memory = run_child(what='memory', cores=cores, **task)
            print(
                f'  peak memory {memory["after"]:,.0f} MB, {memory["before"]:,.0f} MB of them '
                'TensorFlow itself'
            )


if __name__ == '__main__':
    main()
