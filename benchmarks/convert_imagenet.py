"""Images a second of preprocess_imagenet.py on a tree like that of ILSVRC-2012.

  python3 benchmarks/convert_imagenet.py [--images=16000] [--folder=/tmp]

Makes 2,000 JPEG files of 500x375 pixels and about 57 KB out of the two photographs that
scikit-learn ships, and links them under more names. They lie in memory when they are read. Then
measures, pinned to one core: a copy of
the same bytes into one synced file, the way of the classic script (every image is decoded in a
TensorFlow session), the conversion; and the conversion on every core. Prints images and megabytes a
second, by the clock and by the processor's time (which does not see other programs on the machine),
start of the program included, the ratio to the copy and to the classic way, and the memory of the
largest process. The folder's disk is part of what is measured by the clock; /dev/shm is none.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import pathlib
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
SIZE = (500, 375)
QUALITY = 92  # gives about 57 KB, the mean of ILSVRC-2012 at this size
CLASSES = 20
VALIDATION_PART = 10  # one image in ten
CLASSIC_IMAGES = 600
DISTINCT_IMAGES = 2000


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a child process took."""

    images: int
    megabytes: float
    secs: float
    processor_secs: float
    max_memory: float  # MB, of the largest process

    def row(self, name: str) -> str:
        return (
            f'{name:28} {self.images / self.secs:9,.0f} {self.megabytes / self.secs:8,.0f} '
            f'{self.images / self.processor_secs:15,.0f} {self.max_memory:10,.0f}'
        )


def make_tree(folder: str, count: int) -> None:
    """Writes the images; in a process of its own, whose memory the measured ones do not inherit."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    draw = random.Random(1)
    photographs = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    paths: list[pathlib.Path] = []
    for number in range(count):
        split = 'validation' if number % VALIDATION_PART == 0 else 'train'
        synset = f'n{number // VALIDATION_PART % CLASSES:08d}'
        path = pathlib.Path(folder) / split / synset / f'{synset}_{number}.JPEG'
        path.parent.mkdir(parents=True, exist_ok=True)
        if number >= DISTINCT_IMAGES:
            os.link(paths[number % DISTINCT_IMAGES], path)
            continue
        photograph = draw.choice(photographs)
        part = draw.uniform(0.5, 1.0)
        width, height = (int(side * part) for side in photograph.size)
        left, top = (
            draw.randint(0, whole - side)
            for whole, side in zip(photograph.size, (width, height), strict=True)
        )
        picture = photograph.crop((left, top, left + width, top + height)).resize(SIZE)
        picture.save(path, quality=QUALITY)
        paths.append(path)


def measure(command: list[str], images: int, megabytes: float, cores: set[int]) -> Measured:
    """Runs a command on `cores`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.monotonic()
    process = subprocess.Popen(
        ['taskset', '-c', ','.join(map(str, sorted(cores))), sys.executable, *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    secs = time.monotonic() - begin
    if status:
        raise SystemExit(f'{" ".join(command)} failed')
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = sum(
        getattr(after, name) - getattr(before, name) for name in ('ru_utime', 'ru_stime')
    )
    return Measured(images, megabytes, secs, processor, usage.ru_maxrss / 1024)


def copy(raw: str, output: str) -> None:
    """The same bytes into one synced file."""
    with open(output, 'wb') as target:
        for path in _paths(raw):
            with open(path, 'rb') as source:
                target.write(source.read())
        target.flush()
        os.fsync(target.fileno())


def convert_as_classic(raw: str, output: str) -> None:
    """One process: every image is decoded in a session, for its size, then written as it is."""
    import tensorflow.compat.v1 as tf

    sys.path.insert(0, str(ROOT))
    from datasets.records import example_format

    tf.disable_eager_execution()
    encoded = tf.placeholder(tf.string)
    decoded = tf.image.decode_jpeg(encoded, channels=3)
    with tf.Session() as session, tf.io.TFRecordWriter(output) as writer:
        paths = _paths(raw)[:CLASSIC_IMAGES]
        begin = time.process_time()
        for path in paths:
            with open(path, 'rb') as file:
                content = file.read()
            height, width, _ = session.run(decoded, {encoded: content}).shape
            example = example_format.make_example(
                content, 1, height, width, filename=os.path.basename(path)
            )
            writer.write(example.SerializeToString())
        # Without the start of TensorFlow, which a whole run does not notice.
        pathlib.Path(f'{output}.secs').write_text(str(time.process_time() - begin))


def _paths(raw: str) -> list[str]:
    return sorted(os.path.join(parent, name) for parent, _, names in os.walk(raw) for name in names)


def run(folder: pathlib.Path, count: int) -> None:
    raw, own = folder / 'raw', str(pathlib.Path(__file__))
    subprocess.run([sys.executable, own, 'make', str(raw), str(count)], check=True)
    megabytes = sum(os.path.getsize(path) for path in _paths(str(raw))) / 1e6
    print(f'{count} images of {megabytes / count * 1e3:.1f} KB in {folder}')
    cores = os.sched_getaffinity(0)
    one = {min(cores)}

    def convert(cores: set[int]) -> Measured:
        output = folder / 'out'
        shutil.rmtree(output, ignore_errors=True)
        command = [
            str(ROOT / 'preprocess_imagenet.py'),
            f'--raw_data_dir={raw}',
            f'--local_scratch_dir={output}',
            '--train_shards=32',
            '--validation_shards=4',
        ]
        return measure(command, count, megabytes, cores)

    copied = measure([own, 'copy', str(raw), str(folder / 'copy')], count, megabytes, one)
    part = min(count, CLASSIC_IMAGES)
    classic = measure(
        [own, 'classic', str(raw), str(folder / 'classic')], part, megabytes * part / count, one
    )
    classic_secs = float((folder / 'classic.secs').read_text())
    classic = dataclasses.replace(classic, processor_secs=classic_secs)
    converted = convert(one)
    everywhere = convert(cores)

    print(f'{"":28} {"images/s":>9} {"MB/s":>8} {"images/core-s":>15} {"memory MB":>10}')
    print(copied.row('copy, 1 core'))
    print(classic.row('the classic way, 1 core'))
    print(converted.row('conversion, 1 core'))
    print(everywhere.row(f'conversion, {len(cores)} cores'))
    print(f'conversion / copy by the clock, 1 core: {copied.secs / converted.secs:.2f}')
    per_core = count / converted.processor_secs / (part / classic_secs)
    print(f"conversion / classic way by the processor's time: {per_core:.1f}")


def main() -> None:
    if sys.argv[1:2] == ['copy']:
        copy(*sys.argv[2:])
        return
    if sys.argv[1:2] == ['make']:
        make_tree(sys.argv[2], int(sys.argv[3]))
        return
    if sys.argv[1:2] == ['classic']:
        convert_as_classic(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--images', type=int, default=16000)
    parser.add_argument('--folder', default=tempfile.gettempdir())
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        run(pathlib.Path(folder), chosen.images)


if __name__ == '__main__':
    main()
