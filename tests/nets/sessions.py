"""Sessions for one run or two of a graph."""

from __future__ import annotations

import tensorflow.compat.v1 as tf


def plain_session() -> tf.Session:
    """Without graph rewriting, which takes longer than one run of the graph."""
    config = tf.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    return tf.Session(config=config)
