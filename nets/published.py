"""The networks by name with what they were published for: data, without TensorFlow.

For a list of names, and for whoever builds a network of which nothing else is known. The networks
are the rows of the family files, which `nets_factory` joins; a test holds the two together.
"""

from __future__ import annotations

from typing import NamedTuple


class Published(NamedTuple):
    """The form in which a network was published."""

    scope: str  # with which some of its variables begin, whatever its arguments
    num_classes: int = 1001
    channels: int = 3
    frames: int | None = None  # of a video; None: the network takes images


NETWORKS: dict[str, Published] = {
    'alexnet_v2': Published('alexnet_v2'),
    'cifarnet': Published('CifarNet', num_classes=10),
    'overfeat': Published('overfeat'),
    'vgg_a': Published('vgg_a'),
    'vgg_16': Published('vgg_16'),
    'vgg_19': Published('vgg_19'),
    'inception_v1': Published('InceptionV1'),
    'inception_v2': Published('InceptionV2'),
    'inception_v3': Published('InceptionV3'),
    'inception_v4': Published('InceptionV4'),
    'inception_resnet_v2': Published('InceptionResnetV2'),
    'i3d': Published('InceptionV1', frames=64),
    's3dg': Published('InceptionV1', frames=64),
    'lenet': Published('LeNet', num_classes=10, channels=1),
    'resnet_v1_50': Published('resnet_v1_50'),
    'resnet_v1_101': Published('resnet_v1_101'),
    'resnet_v1_152': Published('resnet_v1_152'),
    'resnet_v1_200': Published('resnet_v1_200'),
    'resnet_v2_50': Published('resnet_v2_50'),
    'resnet_v2_101': Published('resnet_v2_101'),
    'resnet_v2_152': Published('resnet_v2_152'),
    'resnet_v2_200': Published('resnet_v2_200'),
    'mobilenet_v1': Published('MobilenetV1'),
    'mobilenet_v1_075': Published('MobilenetV1'),
    'mobilenet_v1_050': Published('MobilenetV1'),
    'mobilenet_v1_025': Published('MobilenetV1'),
    'mobilenet_v2': Published('MobilenetV2'),
    'mobilenet_v2_140': Published('MobilenetV2'),
    'mobilenet_v2_050': Published('MobilenetV2'),
    'mobilenet_v2_035': Published('MobilenetV2'),
    'mobilenet_v3_large': Published('MobilenetV3'),
    'mobilenet_v3_small': Published('MobilenetV3'),
    'mobilenet_v3_large_minimalistic': Published('MobilenetV3'),
    'mobilenet_v3_small_minimalistic': Published('MobilenetV3'),
    'mobilenet_edgetpu': Published('MobilenetEdgeTPU'),
    'mobilenet_edgetpu_075': Published('MobilenetEdgeTPU'),
    'mobilenet': Published('MobileNet'),
    'mobilenetdet': Published('MobileNet', num_classes=3),
    'nasnet_cifar': Published('cell_0', num_classes=10),
    'nasnet_mobile': Published('cell_0'),
    'nasnet_large': Published('cell_0'),
    'pnasnet_large': Published('cell_0'),
    'pnasnet_mobile': Published('cell_0'),
}


def published(name: str) -> Published:
    """Of a network; of one that has been added to the factory from outside, the usual form."""
    return NETWORKS.get(name, Published(''))
