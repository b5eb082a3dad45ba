"""Evaluates an image classifier on TFRecords, every record exactly once: top-1 and top-5.

  python3 eval_image_classifier.py --dataset_dir=/data/imagenet --checkpoint_path=/tmp/run

Prints `images: N/N`, Accuracy and Recall_5; --eval_dir gets them as JSON and TensorBoard summaries.
Exit codes: 0 done, 1 failure, 2 wrong command line.
"""

from __future__ import annotations

from slim import app, flags, options, startup

flags.define(options.Evaluation)


def main() -> int:
    """Reads the flags and evaluates; returns the exit code."""
    chosen = flags.read(options.Evaluation)
    flags.require('dataset_dir', 'folder of the TFRecord files')
    return evaluate(chosen, startup.start(chosen.device))


def evaluate(chosen: options.Evaluation, runtime: startup.Runtime) -> int:
    """The walk from record files and checkpoint to counts; returns the exit code."""
    import tensorflow.compat.v1 as tf

    from datasets import dataset_factory
    from nets import nets_factory
    from preprocessing import preprocessing_factory
    from slim import checkpoints, classification, evaluator, inputs

    dataset = dataset_factory.get_dataset(
        chosen.dataset.dataset_name, chosen.dataset.dataset_split_name, chosen.dataset.dataset_dir
    )
    network_fn = nets_factory.get_network_fn(
        chosen.network.model_name, dataset.num_classes - chosen.dataset.labels_offset
    )
    preprocess = preprocessing_factory.get_preprocessing(
        chosen.input.preprocessing_name or chosen.network.model_name,
        use_grayscale=chosen.input.use_grayscale,
    )
    checkpoint = checkpoints.find(chosen.run.checkpoint_path, 'checkpoint_path')
    checkpoints.check_writable(chosen.run.eval_dir, 'eval_dir')
    batch = inputs.BatchFormat(
        chosen.input.batch_size,
        chosen.input.eval_image_size or network_fn.default_image_size,
        chosen.dataset.labels_offset,
        chosen.input.num_preprocessing_threads,
    )

    print(runtime, flush=True)
    with tf.Graph().as_default():
        with tf.device('/device:CPU:0'):
            pipeline = inputs.evaluation_batches(dataset, preprocess, batch)
            images, labels, real = tf.data.make_one_shot_iterator(pipeline).get_next()
        with tf.device(runtime.device.name):
            logits, _ = network_fn(images)
            counts = classification.count_correct(logits, labels, real)
        saver = checkpoints.evaluation_saver(checkpoint, chosen.averages.moving_average_decay)
        checkpoints.make_folder(chosen.run.eval_dir, 'eval_dir')
        result = evaluator.evaluate(
            checkpoint,
            saver,
            counts,
            dataset.num_samples,
            chosen.input.max_num_batches,
            chosen.run.master,
            runtime.session_config(),
            dataset,
        )
    evaluator.publish(result, chosen.run.eval_dir)
    if chosen.input.max_num_batches is None:
        evaluator.check_complete(result)
    return 0


if __name__ == '__main__':
    app.run(main)
