"""A pass of a detector over a split: what it finds, scored, and written as KITTI writes it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from detection import anchors, kitti_ap, kitti_results, outputs, sheet, suppression, voc_ap
from detection.truth import PictureDetections, PictureTruth
from runtime import folders, options, startup
from runtime.checkpoints import files, weights
from runtime.devices import precision
from runtime.input import detection_batches, input_errors
from runtime.training import event_file, monitor
from slim import errors

RESULT_FILE, PICTURES_FILE = 'eval_results.json', 'pictures.html'
_RESULT_FOLDER = 'data'  # where KITTI's tool looks for its files


@dataclasses.dataclass(frozen=True)
class Found:
    """A picture of the split, and what the detector has found in it."""

    name: str
    detections: PictureDetections


def find(
    chosen: options.DetectionEvaluation, parts: Any, runtime: startup.Runtime, checkpoint: str
) -> list[Found]:
    """Detections of every picture of the split, in its order; `parts` as of `detection_lookup`.

    Raises:
      CheckpointError: the checkpoint is not of this network.
      DataError: a record that cannot be used.
      NonFiniteLossError: the network gives numbers that are not finite.
    """
    flags, network = chosen.input, parts.network
    frame = flags.image_height, flags.image_width
    batch = detection_batches.DetectionFormat(
        flags.batch_size,
        flags.image_height,
        parallel_decodes=flags.num_preprocessing_threads,
        image_type=precision.image_type(runtime.device.kind, runtime.dtype),
        image_width=flags.image_width,
    )
    with tf.Graph().as_default():
        with tf.device('/device:CPU:0'):
            pipeline = detection_batches.evaluation_batches(
                parts.dataset,
                parts.preprocess,
                batch,
                skip_damaged=flags.on_data_error == 'skip',
            )
            images, names, sizes, real = tf.data.make_one_shot_iterator(pipeline).get_next()
        with tf.device(runtime.device.name):
            network_fn = precision.adapt_network(
                runtime.device.kind, runtime.dtype, network.function
            )
            layer, _ = network_fn(images)
            predicted = outputs.split(layer, network.num_classes, len(anchors.SHAPES))
            scores, classes = outputs.scores(predicted)
            every = anchors.anchors(*frame).astype('float32')
            boxes = outputs.decoded(predicted, every, *frame)
        held = weights.of_checkpoint(checkpoint, chosen.averages.moving_average_decay)
        fetches = boxes, scores, classes, names, sizes, real
        found: list[Found] = []
        with tf.Session(config=runtime.session_config()) as session:
            files.restore(held.saver, session, checkpoint)
            try:
                while True:
                    for values in zip(*session.run(fetches), strict=True):
                        if values[-1]:
                            one = of_picture(values[:-1], frame, network.class_names)
                            if not one.name and flags.on_data_error == 'skip':
                                raise errors.DataError(
                                    '--on_data_error=skip: without file names in the records, '
                                    'pictures and their labels could not be brought together'
                                )
                            name = one.name or _unnamed(len(found))
                            found.append(dataclasses.replace(one, name=name))
            except tf.errors.OutOfRangeError:
                pass  # The records have ended.
            except (tf.errors.InvalidArgumentError, tf.errors.DataLossError) as error:
                explained = input_errors.explain(error, parts.dataset)
                raise errors.DataError(explained) from error
    return found


def of_picture(values: Sequence[Any], frame: tuple[int, int], names: Sequence[str]) -> Found:
    """What all anchors say of a picture, filtered, in pixels of the picture.

    Args:
      values: boxes, scores and classes of all anchors, the name, height and width.
      frame: height and width of the network's frame, whose pixels the boxes are in.
      names: of the classes.

    Raises NonFiniteLossError, which names the picture, for numbers that are not finite.
    """
    boxes, scores, classes, name, size = values
    name = name.decode(errors='surrogateescape')
    if not (np.isfinite(scores).all() and np.isfinite(boxes).all()):
        raise errors.NonFiniteLossError(
            f'{errors.shortened(name, 160)}: the network gives numbers that are not finite'
        )
    kept = suppression.detections(boxes, scores, classes)
    factors = np.array([size[1] / frame[1], size[0] / frame[0]] * 2)
    return Found(
        name,
        PictureDetections(
            boxes[kept].astype(np.float64) * factors,
            [names[number] for number in classes[kept]],
            scores[kept].astype(np.float64),
        ),
    )


def truths(dataset: Any, skip_damaged: bool = False) -> list[PictureTruth]:
    """The labels of the split, in its order; `dataset` is a `detection_set.DetectionSet`.

    DataError for a record that cannot be read, unless such are left out.
    """
    return [
        PictureTruth(
            picture.name or _unnamed(place),
            np.array([one.box for one in picture.objects], np.float64).reshape(-1, 4),
            [one.type for one in picture.objects],
            np.array([one.truncated for one in picture.objects], np.float64),
            np.array([one.occluded for one in picture.objects], np.int64),
            np.array([one.difficult for one in picture.objects], bool),
        )
        for place, picture in enumerate(dataset.pictures(skip_damaged))
    ]


def _unnamed(place: int) -> str:
    """The name of the picture at this place of the split, of records that hold none."""
    return f'{place:06d}'


def score(
    labels: Sequence[PictureTruth],
    found: Sequence[Found],
    class_names: Sequence[str],
    rules: str,
) -> dict[str, float]:
    """Average precision by tag: KITTI's where the classes are KITTI's, and Pascal VOC's.

    A picture that was left out, as its record cannot be used, is left out of the labels.

    Raises:
      DataError: two records have one name, so that files of results would be lost.
    """
    if len({one.name for one in found}) < len(found):
        raise errors.DataError('Two pictures of the split have the same name')
    by_name = {truth.name: truth for truth in labels}
    pairs = [by_name[one.name] for one in found], [one.detections for one in found]
    tags = {}
    kinds = [kind for kind in kitti_ap.KINDS if kind in {name.lower() for name in class_names}]
    for kind, levels in kitti_ap.evaluate(*pairs, rules, kinds).items():
        for level, result in levels.items():
            tags[f'kitti/{kind}/{level}/ap40'] = result.ap40
            tags[f'kitti/{kind}/{level}/ap11'] = result.ap11
    areas, elevens = [], []
    # Boxes end behind their last pixel, those of Pascal VOC as well: no side is one longer.
    for kind, of_kind in voc_ap.evaluate(*pairs, class_names, inclusive=False).items():
        tags[f'voc/{kind}/area'], tags[f'voc/{kind}/voc07'] = of_kind.area, of_kind.voc07
        if of_kind.objects:
            areas.append(of_kind.area)
            elevens.append(of_kind.voc07)
    # Over the classes that the split has.
    tags['voc/mean/area'] = float(np.mean(areas)) if areas else 0.0
    tags['voc/mean/voc07'] = float(np.mean(elevens)) if elevens else 0.0
    return tags


def publish(
    tags: Mapping[str, float],
    found: Sequence[Found],
    expected: int,
    checkpoint: str,
    folder: str,
    about: Mapping[str, Any],
) -> None:
    """Prints the figures; `folder` gets them as JSON and summaries, and KITTI's result files."""
    written = os.path.join(folder, _RESULT_FOLDER)
    folders.make_folder(written, 'eval_dir')
    for one in found:
        stem = os.path.splitext(os.path.basename(one.name))[0]
        text = ''.join(f'{line}\n' for line in kitti_results.lines(one.detections))
        folders.write_text(os.path.join(written, f'{stem}.txt'), text)
    step = files.global_step(checkpoint)
    print(f'images: {len(found)}/{expected}')
    for tag, value in tags.items():
        print(f'{tag}: {value:.4f}')
    print(f'results of each picture in {errors.printable(written)}', flush=True)
    values = {'checkpoint': checkpoint, 'step': step, 'images': len(found), **tags, **about}
    folders.write_text(os.path.join(folder, RESULT_FILE), json.dumps(values, indent=1) + '\n')
    with contextlib.closing(event_file.EventFile(folder)) as writer:
        monitor.write_scalars(writer, tags, step)


def draw(
    labels: Sequence[PictureTruth],
    found: Sequence[Found],
    dataset: Any,
    count: int,
    folder: str,
    skip_damaged: bool = False,
) -> None:
    """A page of the first pictures with their objects and detections.

    Args:
      labels: of `truths`.
      found: of `find`; pictures that are not in it are passed over.
      dataset: the `detection_set.DetectionSet` of both.
      count: of pictures on the page.
      folder: of the page.
      skip_damaged: as of `truths`.
    """
    by_name = {one.name: one.detections for one in found}
    places = [place for place, truth in enumerate(labels[:count]) if truth.name in by_name]
    entries = [
        sheet.entry(image, labels[place], by_name[labels[place].name])
        for place, image in dataset.images(places, skip_damaged)
    ]
    if entries:
        path = os.path.join(folder, PICTURES_FILE)
        sheet.write(path, f'{len(entries)} pictures of {dataset.split_name}', entries)
        print(f'the first of them drawn in {errors.printable(path)}', flush=True)
