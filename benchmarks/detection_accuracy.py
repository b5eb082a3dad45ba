"""What a detector learns of generated scenes, beside what can be said without a look at a picture.

  python3 benchmarks/detection_accuracy.py
  python3 benchmarks/detection_accuracy.py --train=8 --val=4 --steps=4      a minute, to try it

Generates a training and a validation set (other pictures from the same generator), trains from
random weights with the defaults of train_object_detector.py but for what is named below, and
evaluates on both sets. Beside it, on the validation set:

  prior      the same boxes for every picture: the training set's objects, gathered at the anchors
             that they overlap most; each anchor says, for each class, the mean of its objects'
             boxes, and as the score how many of them a picture has
  untrained  the network after one step

Prints the average precision of these and of the trained network, on both sets.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)

# Of the training alone: the rate falls to nothing within the run, and the statistics of batch norm
# follow within hundreds of steps.
TRAINING = ('--learning_rate_decay_type=cosine', '--batch_norm_decay=0.97')


def run(script: str, *flags: str) -> None:
    """One of the scripts, which has to succeed; its words go to standard error."""
    subprocess.run([sys.executable, str(ROOT / script), *flags], stdout=sys.stderr, check=True)


def said(truths: Sequence[Any], names: Sequence[str], height: int, width: int) -> Any:
    """What these pictures (PictureTruth), of the frame's size, say of every other."""
    import numpy as np

    from detection import anchors, overlaps, suppression
    from detection.truth import PictureDetections

    centres = anchors.anchors(height, width)
    half = centres[:, 2:] / 2
    corners = np.concatenate([centres[:, :2] - half, centres[:, :2] + half], axis=1)
    sums = np.zeros([len(corners), len(names), 4])
    counts = np.zeros([len(corners), len(names), 1])
    for truth in truths:
        for box, name in zip(truth.boxes, truth.types, strict=True):
            if name in names:
                place = overlaps.ious(box[np.newaxis], corners).argmax(), names.index(name)
                sums[place] += box
                counts[place] += 1
    anchor, classes, _ = np.nonzero(counts)
    means = sums[anchor, classes] / counts[anchor, classes]
    scores = counts[anchor, classes, 0] / len(truths)
    kept = suppression.detections(means, scores, classes)
    return PictureDetections(means[kept], [names[number] for number in classes[kept]], scores[kept])


def prior(dataset_dir: str, height: int, width: int) -> dict[str, float]:
    """The average precision of what the training set says of every picture."""
    from datasets import detection_factory
    from runtime.results import detector

    train, val = (
        detection_factory.get_dataset('scenes', split, dataset_dir) for split in ('train', 'val')
    )
    names = [train.labels_to_names[label] for label in range(train.num_classes)]
    everywhere = said(detector.truths(train), names, height, width)
    labels = detector.truths(val)
    found = [detector.Found(truth.name, everywhere) for truth in labels]
    return detector.score(labels, found, names, '2017')


def evaluated(folder: str, name: str, split: str, *flags: str) -> Mapping[str, Any]:
    """The figures of a run's last checkpoint."""
    results = os.path.join(folder, f'{name}-{split}')
    run(
        'eval_object_detector.py',
        f'--checkpoint_path={os.path.join(folder, name)}',
        f'--eval_dir={results}',
        f'--dataset_split_name={split}',
        '--drawn_pictures=0',
        *flags,
    )
    return json.loads(pathlib.Path(results, 'eval_results.json').read_text())


def measure(arguments: argparse.Namespace, folder: str) -> None:
    dataset_dir = os.path.join(folder, 'scenes')
    height, width = arguments.height, arguments.width
    if not os.path.exists(os.path.join(dataset_dir, 'dataset.json')):
        run(
            'download_and_convert_data.py',
            '--dataset_name=scenes',
            f'--dataset_dir={dataset_dir}',
            f'--scenes_train={arguments.train}',
            f'--scenes_val={arguments.val}',
            f'--scene_height={height}',
            f'--scene_width={width}',
        )
    shared = (
        '--dataset_name=scenes',
        f'--dataset_dir={dataset_dir}',
        f'--image_height={height}',
        f'--image_width={width}',
        f'--model_name={arguments.model_name}',
        f'--width_multiplier={arguments.width_multiplier}',
        f'--batch_size={arguments.batch_size}',
    )
    for name, steps in (('untrained', 1), ('trained', arguments.steps)):
        run(
            'train_object_detector.py',
            f'--train_dir={os.path.join(folder, name)}',
            f'--max_number_of_steps={steps}',
            *TRAINING,
            *shared,
        )
    columns = {
        'prior': prior(dataset_dir, height, width),
        'untrained': evaluated(folder, 'untrained', 'val', *shared),
        'trained': evaluated(folder, 'trained', 'val', *shared),
        'on train': evaluated(folder, 'trained', 'train', *shared),
    }
    print(
        f'{arguments.model_name} x {arguments.width_multiplier}, {width}x{height} pixels, '
        f'{arguments.train} pictures to train on and {arguments.val} others, {arguments.steps} '
        f'steps of {arguments.batch_size}'
    )
    print(f'{"":34}' + ''.join(f'{name:>11}' for name in columns))
    for tag in columns['prior']:
        if tag.endswith(('/area', '/ap40')):
            print(f'{tag:34}' + ''.join(f'{figures[tag]:11.3f}' for figures in columns.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--train', type=int, default=400, help='pictures to train on')
    parser.add_argument('--val', type=int, default=100, help='pictures to validate on')
    parser.add_argument('--height', type=int, default=128, help='of pictures and frame')
    parser.add_argument('--width', type=int, default=384)
    parser.add_argument('--model_name', default='mobilenetdet')
    parser.add_argument('--width_multiplier', type=float, default=0.5)
    parser.add_argument('--batch_size', type=int, default=8)
    parser.add_argument('--steps', type=int, default=1800)
    parser.add_argument(
        '--folder', help='keeps sets, runs and results, and goes on with them; default: removed'
    )
    arguments = parser.parse_args()
    if arguments.folder:
        measure(arguments, arguments.folder)
        return
    with tempfile.TemporaryDirectory() as folder:
        measure(arguments, folder)


if __name__ == '__main__':
    main()
