"""Strides and dilation of a network whose output is to stay larger than its layers make it."""

from __future__ import annotations


class Striding:
    """Turns strides into dilation once the network has reached its output stride.

    The layer that would go beyond the limit keeps stride 1 and still uses the rate collected so
    far; only the layers after it are dilated by its stride as well. So every layer sees the same
    pixels as in the strided network, and more of them (arXiv:1412.7062, section 3.1).
    """

    def __init__(self, output_stride: int | None) -> None:
        self._limit = output_stride
        self._stride = 1
        self._rate = 1

    def next_layer(self, stride: int) -> tuple[int, int]:
        """(stride, rate) of the next layer, whose table says `stride`."""
        if self._stride != self._limit:
            self._stride *= stride
            return stride, 1
        rate = self._rate
        self._rate *= stride
        return 1, rate
