"""Writes the logits of the digits' network in the order of an evaluation's records.

  python3 evaluation_logits.py DATASET_DIR CHECKPOINT BATCH_SIZE IMAGES OUT.npy

A process of its own, in the environment of the scripts: TensorFlow's numbers depend on it.
"""

import pathlib
import sys

import numpy as np
import tensorflow.compat.v1 as tf

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))


def main(dataset_dir: str, run: str, batch_size: int, images: int, out: str) -> None:
    from runtime import lookup, options
    from runtime.checkpoints import files, weights
    from runtime.input import inputs

    chosen = options.Evaluation(
        options.EvaluationDatasetOptions(dataset_dir=dataset_dir),
        options.EvaluationInputOptions(preprocessing_name='digits', eval_image_size=32),
        options.NetworkOptions('mobilenet_v1_025'),
        options.AverageOptions(),
        options.EvaluationRunOptions(),
        options.WorkerOptions(),
        options.DeviceOptions(),
    )
    found = []
    with tf.Graph().as_default(), tf.Session() as session:
        parts = lookup.for_evaluation(chosen)
        batch = inputs.BatchFormat(batch_size, parts.network.image_size)
        pipeline = inputs.evaluation_batches(parts.dataset, parts.preprocess, batch)
        batch_images, _, real = tf.data.make_one_shot_iterator(pipeline).get_next()
        logits, _ = parts.network.function(batch_images)
        checkpoint = files.find(run, 'checkpoint_path')
        files.restore(weights.of_checkpoint(checkpoint, 0.9999).saver, session, checkpoint)
        for _ in range(-(-images // batch_size)):
            values, are_real = session.run((logits, real))
            found += list(values[are_real])
    np.save(out, np.stack(found))


if __name__ == '__main__':
    main(*sys.argv[1:3], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
