"""Every public name of the Inception networks: `from nets import inception`."""

# ruff: noqa: F401

from nets.inception_resnet_v2 import (
    block8,
    block17,
    block35,
    inception_resnet_v2,
    inception_resnet_v2_arg_scope,
    inception_resnet_v2_base,
)
from nets.inception_v1 import inception_v1, inception_v1_arg_scope, inception_v1_base
from nets.inception_v2 import inception_v2, inception_v2_arg_scope, inception_v2_base
from nets.inception_v3 import inception_v3, inception_v3_arg_scope, inception_v3_base
from nets.inception_v4 import (
    block_inception_a,
    block_inception_b,
    block_inception_c,
    block_reduction_a,
    block_reduction_b,
    inception_v4,
    inception_v4_arg_scope,
    inception_v4_base,
)
