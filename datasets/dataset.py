"""What the rest of the suite knows about one split of a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import tensorflow as tf

from datasets.records import image_kinds


@dataclass(frozen=True)
class Dataset:
    """One split: which files, how many records, which classes, how to read a record. No tensors.

    `parse` maps a scalar string tensor, one serialized record, to 'encoded' (string scalar),
    'label' (int64 scalar, 0 .. num_classes - 1 in a sound set), 'bbox' (float32 [1, n, 4]: ymin,
    xmin, ymax, xmax, 0..1) and 'filename' (string scalar, '' where the record has none).
    """

    name: str
    split_name: str
    data_sources: tuple[str, ...]  # record files, sorted
    num_samples: int
    num_classes: int  # outputs of a network, the background class included
    has_background: bool  # label 0 stands for none of the classes and occurs in no record
    labels_to_names: Mapping[int, str] | None
    parse: Callable[[tf.Tensor], dict[str, tf.Tensor]]
    decode: Callable[[tf.Tensor], tf.Tensor]  # 'encoded' to uint8 [height, width, channels]
    items_to_descriptions: Mapping[str, str] = field(default_factory=dict)
    image_kind: Callable[[bytes], str] = image_kinds.of  # 'a WebP file', '' for what can be decoded
    compressions: tuple[str, ...] = ()  # of each record file: '', 'GZIP', 'ZLIB'; () for none

    @property
    def has_records(self) -> bool:
        """False where all files are empty, as a copy leaves them that found the disk full.

        Training begins a split anew when it ends, so that without records it would begin for ever.
        """
        return any(tf.io.gfile.stat(path).length for path in self.data_sources)

    def only(self, files: Sequence[str]) -> Dataset:
        """The same split with some of its record files; the numbers stay those of the whole."""
        kinds = dict(zip(self.data_sources, self.compressions, strict=bool(self.compressions)))
        compressions = tuple(kinds[file] for file in files) if kinds else ()
        return replace(self, data_sources=tuple(files), compressions=compressions)

    # What slim.dataset_data_provider.DatasetDataProvider reads, beside `data_sources` and
    # `num_samples`: the classic way to images, by queues.

    @property
    def reader(self) -> type:
        """Reads the record files."""
        return tf.compat.v1.TFRecordReader

    @property
    def decoder(self) -> ItemDecoder:
        """Makes 'image', 'label' and the other items of a record."""
        return ItemDecoder(self)


@dataclass(frozen=True)
class ItemDecoder:
    """Items of a serialized record by their classic names: TF-Slim's interface of a decoder."""

    dataset: Dataset

    def list_items(self) -> list[str]:
        return ['image', 'label', 'object/bbox', 'filename']

    def decode(self, serialized: tf.Tensor, items: Sequence[str]) -> list[tf.Tensor]:
        """The `items` of a record, string scalar, in their order.

        'image' is uint8 [height, width, channels], 'label' an int64 scalar, 'object/bbox' float32
        [n, 4] (ymin, xmin, ymax, xmax, 0..1), 'filename' a string scalar.
        """
        parsed = self.dataset.parse(serialized)
        makers: dict[str, Callable[[], tf.Tensor]] = {
            'image': lambda: self.dataset.decode(parsed['encoded']),
            'label': lambda: parsed['label'],
            'object/bbox': lambda: parsed['bbox'][0],
            'filename': lambda: parsed['filename'],
        }
        return [makers[item]() for item in items]
