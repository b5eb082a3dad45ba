"""The boxes that a prediction starts from: some shapes in each cell of the network's last layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# The frame that the shapes are for: KITTI's pictures, in pixels.
HEIGHT, WIDTH = 375, 1242
# Width and height of the nine shapes, in pixels of that frame; SqueezeDet's.
SHAPES = (
    (36.0, 37.0),
    (366.0, 174.0),
    (115.0, 59.0),
    (162.0, 87.0),
    (38.0, 90.0),
    (258.0, 173.0),
    (224.0, 108.0),
    (78.0, 170.0),
    (72.0, 43.0),
)
# Pixels of the frame for one cell of the last layer, along each axis.
STRIDE = 32


def grid(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of cells for a frame: five strided layers, each of which rounds up."""
    return -(-height // STRIDE), -(-width // STRIDE)


def scaled_shapes(height: int, width: int) -> list[tuple[float, float]]:
    """`SHAPES` for a frame of another size, to which objects are scaled as well."""
    return [(w * width / WIDTH, h * height / HEIGHT) for w, h in SHAPES]


def anchors(
    height: int = HEIGHT,
    width: int = WIDTH,
    shapes: Sequence[tuple[float, float]] | None = None,
    cells: tuple[int, int] | None = None,
) -> np.ndarray:
    """All anchors of a frame.

    The centres divide the frame evenly: for n columns at 1/(n+1) .. n/(n+1) of its width. These are
    not the centres of the cells, but published weights know no others.

    Args:
      height, width: of the frame in pixels.
      shapes: (width, height) of each shape in pixels; None for `scaled_shapes` of the frame.
      cells: rows and columns; None for `grid` of the frame.

    Returns:
      float64 [rows * columns * shapes, 4]: cx, cy, width, height in pixels. The row changes
      slowest, then the column, then the shape.
    """
    rows, columns = cells or grid(height, width)
    sizes = np.array(scaled_shapes(height, width) if shapes is None else shapes, np.float64)
    x = np.arange(1, columns + 1) * width / (columns + 1)
    y = np.arange(1, rows + 1) * height / (rows + 1)
    all_anchors = np.empty([rows, columns, len(sizes), 4])
    all_anchors[..., 0] = x[:, np.newaxis]
    all_anchors[..., 1] = y[:, np.newaxis, np.newaxis]
    all_anchors[..., 2:] = sizes
    return all_anchors.reshape(-1, 4)
