"""How exported networks differ from their checkpoint, how large and how fast they are.

  python3 benchmarks/exports.py                                  # the networks of the issue, float
  python3 benchmarks/exports.py --networks=vgg_16,lenet --formats=tflite
  python3 benchmarks/exports.py --run=/data/run --dataset_dir=/data/digits --quantization=none,int8

Without --run each network gets seeded weights in its own image size, and is exported by the script
as a user would: the table is the script's own, and behind it are the seconds of the whole command.
With --run the files are made of that run's newest checkpoint, calibrated on the set's training
split, and each is evaluated on the whole split `validation`, beside the checkpoint's own GraphDef.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import re
import resource
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)
NETWORKS = (
    'mobilenet_v1,mobilenet_v2,mobilenet_v3_large,mobilenet_edgetpu,resnet_v1_50,inception_v3'
)
CLASSES = 1001
CHILD = '--write-checkpoint'


def write_checkpoint(name: str, prefix: str) -> None:
    """A checkpoint of a network with seeded weights and statistics, in a process of its own."""
    import numpy as np
    import tensorflow.compat.v1 as tf

    from nets import nets_factory

    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        network = nets_factory.get_network_fn(name, CLASSES)
        size = network.default_image_size
        frames = [16] if name in ('i3d', 's3dg') else []
        network(tf.placeholder(tf.float32, [1, *frames, size, size, 3]))
        session.run(tf.global_variables_initializer())
        random = np.random.RandomState(2)
        for variable in tf.global_variables():
            shape = variable.shape.as_list()
            if variable.op.name.endswith('moving_mean'):
                variable.load(random.normal(0, 0.1, shape).astype(np.float32), session)
            elif variable.op.name.endswith('moving_variance'):
                variable.load(random.uniform(0.8, 1.2, shape).astype(np.float32), session)
        tf.train.Saver().save(session, prefix, write_meta_graph=False)


def export(*arguments: str) -> str:
    """What the script prints; its error line where it fails. Then the seconds that it took."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, str(ROOT / 'export_inference_graph.py'), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    said = done.stdout.strip()
    if done.returncode:
        said = next(line for line in done.stderr.splitlines() if 'error: ' in line)
    return f'{said}\n{time.monotonic() - start:.1f} s, {used:.1f} processor seconds'


def seeded(networks: str, formats: str, quantization: str, folder: str) -> None:
    for name in networks.split(','):
        prefix = os.path.join(folder, f'{name}.ckpt')
        subprocess.run([sys.executable, __file__, CHILD, name, prefix], check=True)
        calibration = os.path.join(folder, 'pictures')
        if 'int8' in quantization and not os.path.exists(calibration):
            write_pictures(calibration)
        print(
            export(
                f'--model_name={name}',
                f'--checkpoint_path={prefix}',
                '--moving_average_decay=0',
                f'--output_file={folder}/{name}',
                f'--format={formats}',
                f'--quantization={quantization}',
                '--check_images=8',
                *([f'--calibration_dir={calibration}'] if 'int8' in quantization else []),
                *(['--is_video_model', '--num_frames=16'] if name in ('i3d', 's3dg') else []),
            ),
            flush=True,
        )


def write_pictures(folder: str) -> None:
    from runtime.results.exports import samples

    os.makedirs(folder)
    for number, (_, content) in enumerate(samples.made(32)):
        pathlib.Path(folder, f'{number}.jpg').write_bytes(content)


def of_run(run: str, dataset_dir: str, formats: str, quantization: str, folder: str) -> None:
    print(
        export(
            f'--checkpoint_path={run}',
            f'--output_file={folder}/m',
            f'--format={formats}',
            f'--quantization={quantization}',
            f'--calibration_dir={dataset_dir}',
            '--check_images=200',
        )
    )
    from datasets import dataset_factory
    from preprocessing import preprocessing_factory
    from runtime.input import inputs
    from runtime.results import exported

    records = dataset_factory.get_dataset('imagenet', 'validation', dataset_dir)
    first = None
    for name in sorted(os.listdir(folder), key=lambda name: (not name.endswith('.pb'), name)):
        if name == 'export.json':
            continue
        model = exported.load(os.path.join(folder, name), exported.IMAGES)
        assert model.about and model.image_size
        preprocess = preprocessing_factory.get_encoded_preprocessing(
            model.about.preprocessing_name, records.decode, use_grayscale=model.use_grayscale
        )
        batch = inputs.BatchFormat(60, model.image_size)
        right, agreed, images, answers = 0, 0, 0, []
        for index, (given, labels, real) in enumerate(
            inputs.evaluation_batches(records, preprocess, batch).as_numpy_iterator()
        ):
            best = model.run(given).argmax(-1)
            answers.append(best)
            right += int(((best == labels) & real).sum())
            agreed += int(((best == (first or answers)[index]) & real).sum())
            images += int(real.sum())
        first = first or answers
        print(
            f'{name:<24} {right}/{images} right, {right / images:.2%}; as the first file says: '
            f'{agreed / images:.2%}'
        )


def main() -> None:
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '1')
    if sys.argv[1:2] == [CHILD]:
        write_checkpoint(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--networks', default=NETWORKS)
    parser.add_argument('--formats', default='graphdef,saved_model,tflite,onnx')
    parser.add_argument('--quantization', default='none')
    parser.add_argument('--run', help='folder of a training run')
    parser.add_argument('--dataset_dir', help='folder of the records that --run was trained on')
    flags = parser.parse_args()
    if not re.fullmatch(r'[\w,]+', flags.networks):
        parser.error('--networks: names with commas between them')
    with tempfile.TemporaryDirectory() as folder:
        if flags.run:
            of_run(flags.run, flags.dataset_dir, flags.formats, flags.quantization, folder)
        else:
            seeded(flags.networks, flags.formats, flags.quantization, folder)


if __name__ == '__main__':
    main()
