"""A SavedModel: `image_bytes` -> classes with names, `images` -> the network's output."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from runtime.results.exports.forms import model
from slim import errors

# Where TensorFlow has a place for what a program puts beside its model.
_ABOUT_PATH = os.path.join('assets.extra', model.ABOUT_NAME)

_DEFAULT = 'serving_default'


def write(source: Any, path: str, quantization: str) -> None:
    """Writes a `source.Source` with the signatures that `_signatures` has."""
    import tensorflow.compat.v1 as tf

    from runtime.results.exports.forms import source as sources

    del quantization
    with tf.Graph().as_default(), tf.Session() as session:
        signatures = _signatures(source, tf, sources)
        builder = tf.saved_model.Builder(path)
        builder.add_meta_graph_and_variables(
            session, [tf.saved_model.SERVING], signature_def_map=signatures, clear_devices=True
        )
        builder.save()
    os.makedirs(os.path.join(path, os.path.dirname(_ABOUT_PATH)), exist_ok=True)
    with open(os.path.join(path, _ABOUT_PATH), 'w', encoding='utf-8') as file:
        file.write(source.about.to_json())


def _signatures(source: Any, tf: Any, sources: Any) -> dict[str, Any]:
    """Adds the network to the default graph; the weights are there once.

    `images` -> what the network gives. `image_bytes` -> the same and, beside it, `classes` (names),
    `class_ids` and `probabilities` of the best classes, the best one first. That is also the one
    that a server takes where none is named. A video network has `images` alone. A detector gives
    `boxes`, `scores` and `classes`, and for image files also `class_names`, where it knows them.
    """
    images = tf.placeholder(tf.float32, source.shape, model.IMAGES)
    files = None
    if not source.is_video:
        files = tf.placeholder(tf.string, source.shape[:1], model.IMAGE_BYTES)
        decoded = sources.from_image_files(source, files)
        # One tensor is the way in for both: fed for `images`, computed for `image_bytes`.
        images = tf.placeholder_with_default(decoded, source.shape, 'decoded_images')
    names = source.about.outputs
    outputs = tf.import_graph_def(
        sources.without_input(source.graph_def),
        {f'{sources.INPUT}:0': images},
        [f'{name}:0' for name in names],
        name='network',
    )
    is_detector = source.about.finds_boxes
    results = dict(zip(names if is_detector else [source.about.output], outputs, strict=True))
    of_images = _signature(tf, {model.IMAGES: images}, results)
    if files is None:
        return {model.IMAGES: of_images, _DEFAULT: of_images}
    if is_detector:
        labels = _labels(source, tf)
        if labels is not None:
            results = {**results, 'class_names': tf.gather(labels, results['classes'])}
    elif source.about.output != 'features':
        results = {**results, **_best(source, tf, outputs[0])}
    of_files = _signature(tf, {model.IMAGE_BYTES: files}, results)
    return {model.IMAGES: of_images, model.IMAGE_BYTES: of_files, _DEFAULT: of_files}


def _labels(source: Any, tf: Any) -> Any:
    """Names of the classes, string [classes]; None where they are not known."""
    names = source.about.labels
    return tf.constant([name.encode() for name in names], name='labels') if names else None


def _best(source: Any, tf: Any, output: Any) -> dict[str, Any]:
    """The best classes: `classes` string [n, k], `class_ids` int32, `probabilities` float32."""
    is_logits = source.about.output == 'logits'
    probabilities = tf.nn.softmax(output) if is_logits else output
    num_classes = output.shape[-1]
    best = tf.nn.top_k(probabilities, min(source.chosen.top_k, num_classes))
    labels = _labels(source, tf)
    if labels is None:
        labels = tf.constant([str(number).encode() for number in range(num_classes)], name='labels')
    classes = tf.gather(labels, best.indices)
    return {
        'classes': tf.identity(classes, 'classes'),
        'class_ids': best.indices,
        # Under a name of its own, also where all of them come out beside these.
        'top_probabilities' if not is_logits else 'probabilities': best.values,
    }


def _signature(tf: Any, inputs: Any, outputs: Any) -> Any:
    described = [
        {name: tf.saved_model.build_tensor_info(tensor) for name, tensor in tensors.items()}
        for tensors in (inputs, outputs)
    ]
    method = tf.saved_model.PREDICT_METHOD_NAME
    return tf.saved_model.build_signature_def(*described, method_name=method)


def load(path: str, takes: str | None = None, threads: int | None = None) -> model.Exported:
    """See `exported.load`."""
    import tensorflow as tf

    try:
        loaded = tf.saved_model.load(path)
    except Exception as error:  # Whatever TensorFlow finds wrong with a folder.
        raise model.cannot_load(path, 'SavedModel', error) from error
    signatures = loaded.signatures
    offered = [name for name in (model.IMAGE_BYTES, model.IMAGES) if name in signatures]
    if not offered:
        raise errors.CheckpointError(
            f'{errors.shortened(path, 120)} has no signature {model.IMAGE_BYTES} or {model.IMAGES}'
        )
    kind = model.check_takes(path, takes, offered)
    about = _read_about(path)
    function = signatures[kind]
    (name, given), *others = function.structured_input_signature[1].items()
    outputs = function.structured_outputs
    names: tuple[str, ...] = model.OF_DETECTOR
    wanted = names
    if not set(names) <= set(outputs):
        names, wanted = model.OF_CLASSIFIER, (about.output if about else 'logits',)
    if others or not set(wanted) <= set(outputs):
        raise errors.CheckpointError(
            f'{errors.shortened(path, 120)}: its signature {kind} is none of this suite'
        )

    def run(batch: Any) -> np.ndarray:
        if kind == model.IMAGES:
            batch = np.asarray(batch, np.float32)
        results = function(**{name: tf.constant(batch, given.dtype)})
        return model.as_one([results[key].numpy() for key in wanted])

    batch_size = given.shape[0]
    image_shape = tuple(given.shape[1:])
    if kind == model.IMAGE_BYTES:
        frame = about.frame if about else (None, None)
        image_shape = (*frame, 1 if about and about.use_grayscale else 3)
    whole = model.in_parts(run, batch_size)
    return model.Exported(path, 'saved_model', kind, image_shape, batch_size, about, whole, names)


def _read_about(path: str) -> model.About | None:
    try:
        with open(os.path.join(path, _ABOUT_PATH), 'rb') as file:
            return model.about_of_json(file.read(1 << 24))
    except OSError:
        return None
