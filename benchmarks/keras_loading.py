"""How long the Keras MobileNetV2 takes to be built and filled from a TensorFlow 1 checkpoint.

  python3 benchmarks/keras_loading.py

Prints the seconds of `load_mobilenet_v2`, and its processor seconds, several times in one process.
"""

from __future__ import annotations

import os
import pathlib
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)
ROUNDS = 3


def write_checkpoint(prefix: str) -> None:
    """A checkpoint of the slim network, as its training script would begin."""
    import tensorflow.compat.v1 as tf

    from nets import nets_factory

    with tf.Graph().as_default(), tf.Session() as session:
        network = nets_factory.get_network_fn('mobilenet_v2', 1001)
        network(tf.placeholder(tf.float32, [1, 224, 224, 3]))
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, prefix, write_meta_graph=False)


def main() -> None:
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '1')
    from mobilenet.tf1_loader import v2_loader

    with tempfile.TemporaryDirectory() as folder:
        prefix = os.path.join(folder, 'model.ckpt')
        write_checkpoint(prefix)
        for number in range(ROUNDS):
            start, processor = time.monotonic(), time.process_time()
            v2_loader.load_mobilenet_v2(checkpoint_path=prefix)
            print(
                f'round {number + 1}: {time.monotonic() - start:.2f} s, '
                f'{time.process_time() - processor:.2f} processor seconds'
            )


if __name__ == '__main__':
    main()
