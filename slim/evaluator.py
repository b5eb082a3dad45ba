"""One exact pass over a split: every record once, in batches of static shape."""

from __future__ import annotations

import dataclasses
import json
import os

import tensorflow.compat.v1 as tf

from slim import checkpoints, classification, errors, inputs, monitor

RESULT_FILE = 'eval_results.json'


@dataclasses.dataclass(frozen=True)
class Result:
    """The outcome of an evaluation."""

    checkpoint: str
    step: int
    images: int  # evaluated
    expected_images: int  # in the split
    accuracy: float
    recall_5: float


def evaluate(
    checkpoint: str,
    saver: tf.train.Saver,
    counts: classification.Counts,
    expected_images: int,
    max_batches: int | None = None,
    master: str = '',
    session_config: tf.ConfigProto | None = None,
    records: inputs.RecordSet | None = None,
) -> Result:
    """Restores the checkpoint and counts until the records end, or `max_batches` are done.

    `records` are where one that cannot be used is looked for.

    Raises:
      DataError: a record that cannot be used, or no record at all.
    """
    images = top_1 = top_5 = batches = 0
    fetches = (counts.images, counts.top_1, counts.top_5)
    with tf.Session(master, config=session_config) as session:
        session.run(tf.tables_initializer())
        saver.restore(session, checkpoint)
        try:
            while max_batches is None or batches < max_batches:
                values = session.run(fetches)
                images += int(values[0])
                top_1 += int(values[1])
                top_5 += int(values[2])
                batches += 1
        except tf.errors.OutOfRangeError:
            pass  # The records have ended.
        except (tf.errors.InvalidArgumentError, tf.errors.DataLossError) as error:
            raise errors.DataError(inputs.readable_error(error, records)) from error
    if not images:
        raise errors.DataError('The split holds no records')
    return Result(
        checkpoint=checkpoint,
        step=checkpoints.global_step(checkpoint),
        images=images,
        expected_images=expected_images,
        accuracy=top_1 / images,
        recall_5=top_5 / images,
    )


def publish(result: Result, folder: str) -> None:
    """Prints the result; `folder` gets it as eval_results.json and TensorBoard summaries.

    `images: N/M` counts what was evaluated and what the split should hold.
    """
    print(f'images: {result.images}/{result.expected_images}')
    print(f'Accuracy: {result.accuracy:.4f}')
    print(f'Recall_5: {result.recall_5:.4f}', flush=True)
    path = os.path.join(folder, RESULT_FILE)
    with tf.gfile.Open(path + '.partial', 'w') as file:
        file.write(json.dumps(dataclasses.asdict(result), indent=1) + '\n')
    tf.gfile.Rename(path + '.partial', path, overwrite=True)
    tags = {'Accuracy': result.accuracy, 'Recall_5': result.recall_5}
    # The suite that the Gaudi fork came from wrote them below eval/.
    tags.update({f'eval/{tag}': value for tag, value in tags.items()})
    with tf.Graph().as_default():  # The classic writer wants graph mode.
        writer = tf.summary.FileWriter(folder)
        monitor.write_scalars(writer, tags, result.step)
        writer.close()


def check_complete(result: Result) -> None:
    """DataError where a whole pass saw another number of records than the split should hold.

    TensorFlow takes a file that is cut off at a record's head for one that ends there.
    """
    if result.images != result.expected_images:
        raise errors.DataError(
            f'The records hold {result.images} images, but the split should have '
            f'{result.expected_images}: complete the files, or describe them in a dataset.json'
        )
