"""A record set for tests of the runtime: each record is a number, each image is filled with it."""

import dataclasses
import pathlib

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class NumberRecords:
    data_sources: tuple[str, ...]
    num_samples: int
    num_classes: int = 4
    compressions: tuple[str, ...] = ()

    def only(self, files):
        return dataclasses.replace(self, data_sources=tuple(files))

    @staticmethod
    def image_kind(encoded):
        return 'a strange file' if encoded.startswith(b'strange') else ''

    @staticmethod
    def parse(serialized):
        number = tf.strings.to_number(serialized, tf.int64)
        label = tf.where(number < 0, number, number % 4)
        return {'encoded': serialized, 'label': label, 'filename': 'n' + serialized}

    @staticmethod
    def decode(encoded):
        return tf.fill([6, 5, 3], tf.strings.to_number(encoded, tf.float32))


def write(folder: pathlib.Path, counts: list[int], numbers=None) -> NumberRecords:
    """Files with `counts` records each, numbered through from 0 unless `numbers` are given."""
    waiting = list(range(sum(counts)) if numbers is None else numbers)
    files = []
    for index, count in enumerate(counts):
        path = str(folder / f'train-{index:05d}-of-{len(counts):05d}')
        with tf.io.TFRecordWriter(path) as writer:
            for _ in range(count):
                writer.write(str(waiting.pop(0)).encode())
        files.append(path)
    return NumberRecords(tuple(files), sum(counts))


def preprocess(encoded, height, width, seed=None):
    """The number, in every pixel."""
    del seed
    return tf.image.resize(NumberRecords.decode(encoded), [height, width])


def preprocess_with_noise(encoded, height, width, seed):
    """The number in channel 0, and in channel 1 the draw that the seed makes."""
    draw = tf.random.stateless_uniform([height, width, 1], seed)
    return tf.concat([preprocess(encoded, height, width)[..., :1], draw], axis=-1)
