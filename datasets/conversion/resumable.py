"""Image files to a whole set of records: in several processes, and from where it was interrupted.

What is in the output folder meanwhile: finished shards under their names, others under hidden ones,
and `unfinished.jsonl`, which names the finished shards. At the end `conversion_report.json` and,
last, dataset.json are written, and `unfinished.jsonl` goes. A shard that is not in it is written
anew, so a process may be killed at any moment. The bytes of all files follow from the images, their
order and the flags alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datasets.conversion import worker_pool
from datasets.conversion.journal import Journal
from datasets.conversion.progress_bar import Progress, ProgressBar, tell
from datasets.records import atomic_files, description, record_files, record_writer
from datasets.records.description import Description
from datasets.records.image_files import ImageFile
from datasets.records.record_writer import (
    DEFAULT_RULES,
    Encode,
    Rules,
    Shard,
    Skipped,
    WrittenShard,
    WrittenSplit,
    encode_image,
)
from slim.errors import DataError, OutputError, shortened

JOURNAL = 'unfinished.jsonl'
REPORT = 'conversion_report.json'

_REPORTED = ('flags', 'images', 'names', 'contents', 'splits')
# What reading JSON raises that is damaged, or has other values than were written.
_DAMAGE = (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError)

# What a record has besides the bytes of the image; a few hundred, and boxes.
_RECORD_OVERHEAD = 600


@dataclass(frozen=True)
class SplitPlan:
    """The images of a split in the order of their records."""

    images: Sequence[ImageFile]
    num_shards: int  # at most
    folder: str = ''  # of the record files, below the output folder


@dataclass(frozen=True)
class Plan:
    """What is to be written.

    Relative names below `images_dir` stand in the files that are left behind. `flags` is what the
    records depend on besides the images and the rules; a run with other ones does not go on where
    this one was interrupted.
    """

    images_dir: str
    output_dir: str
    splits: Mapping[str, SplitPlan]
    flags: Mapping[str, Any]
    describe: Callable[[Mapping[str, WrittenSplit]], Description]
    rules: Rules = DEFAULT_RULES
    encode: Encode = encode_image
    shard_name: Callable[[str, int, int], str] = record_files.shard_name


@dataclass(frozen=True)
class Converted:
    """A finished set."""

    description: Description
    splits: Mapping[str, WrittenSplit]

    @property
    def num_skipped(self) -> int:
        return sum(len(split.skipped) for split in self.splits.values())


def convert(plan: Plan, num_workers: int = 1, progress: Progress = tell) -> Converted:
    """Writes the set, or the rest of it. A set that this call has finished before stays.

    Raises DataError for an image that is missing or, unless it may be skipped, unreadable;
    OutputError for a folder that cannot be written, is too small, or holds another set. Finished
    shards stay and the next call goes on.
    """
    work = _Work(plan, progress)
    finished = work.finished_before()
    if finished:
        progress(f'{plan.output_dir} is finished already: nothing to do')
        return finished
    work.check_new_folder()
    with atomic_files.writing(plan.output_dir):
        for folder in {os.path.dirname(shard.path) for shard in work.shards}:
            os.makedirs(folder, exist_ok=True)
    with Journal(os.path.join(plan.output_dir, JOURNAL), progress) as journal:
        return work.run(journal, num_workers)


class _Work:
    """The shards of a plan, with a digest of the images of each."""

    def __init__(self, plan: Plan, progress: Progress):
        self._plan, self._progress = plan, progress
        self._shards_of: dict[str, list[Shard]] = {}
        for split_name, split in plan.splits.items():
            shards = record_writer.make_shards(
                split.images,
                os.path.join(plan.output_dir, split.folder),
                split_name,
                split.num_shards,
                plan.rules,
                plan.encode,
                plan.shard_name,
            )
            if len(shards) < split.num_shards:
                progress(
                    f'{split_name}: {len(split.images)} images fill {len(shards)} shards, '
                    f'not {split.num_shards}'
                )
            self._shards_of[split_name] = shards
        self.shards = [shard for shards in self._shards_of.values() for shard in shards]
        self._sizes: dict[str, int] = {}  # bytes of images by shard
        self._digests: dict[str, str] = {}  # of names and sizes, by shard
        names = hashlib.sha256()
        for shard in self.shards:
            self._read_sizes(shard, names)
        self._identity: dict[str, Any] = {
            'flags': dict(plan.flags)
            | {'gray_to_rgb': plan.rules.rgb_only}
            | ({'upright': True} if plan.rules.upright else {}),
            'images': {name: len(split.images) for name, split in plan.splits.items()},
            'names': names.hexdigest(),
        }

    def finished_before(self) -> Converted | None:
        """The set, if dataset.json says that it is finished, and it is what was planned."""
        path = os.path.join(self._plan.output_dir, description.FILE_NAME)
        if not os.path.exists(path):
            return None
        report = self._read_report()
        change = self._change(report) if report else 'it was not made here'
        if not change and report['contents'] != self._contents():
            change = 'the sizes of images have changed'
        missing = [shard.path for shard in self.shards if not os.path.exists(shard.path)]
        if not change and missing:
            change = f'the record files {record_files.listed(missing)} are missing'
        if not change and report['skipped'] and not self._plan.rules.skip_bad:
            change = f'{len(report["skipped"])} images were left out'
        if change:
            raise OutputError(
                f'{path} says that this set is finished, but {change}. Give an empty folder.'
            )
        journal = os.path.join(self._plan.output_dir, JOURNAL)
        if os.path.exists(journal):  # The process was killed before it could remove it.
            with atomic_files.writing(journal):
                os.unlink(journal)
        return self._converted(
            {
                split_name: WrittenSplit(
                    split['num_samples'],
                    split['num_shards'],
                    self._absolute(split['reencoded']),
                    self._read_skipped(split['skipped']),
                )
                for split_name, split in report['splits'].items()
            }
        )

    def check_new_folder(self) -> None:
        """OutputError for record files of another run."""
        if os.path.exists(os.path.join(self._plan.output_dir, JOURNAL)):
            return
        strays = self._visible_files()
        if strays:
            raise OutputError(
                f'{self._plan.output_dir} holds files of another run: '
                f'{record_files.listed(strays)}. Remove them or give an empty folder.'
            )

    def run(self, journal: Journal, num_workers: int) -> Converted:
        """Writes what is not finished. `journal` is locked."""
        if journal.entries:
            try:
                change = self._change(journal.entries[0])
            except _DAMAGE:
                change = f'{JOURNAL} is damaged'
            if change:
                raise OutputError(
                    f'{self._plan.output_dir} holds the beginning of another conversion: {change}. '
                    'Start it as before, or give an empty folder.'
                )
        for folder in {self._plan.output_dir, *(os.path.dirname(s.path) for s in self.shards)}:
            atomic_files.remove_temporaries(folder)
        strays = set(self._visible_files()) - {os.path.basename(s.path) for s in self.shards}
        if strays:
            raise OutputError(
                f'{self._plan.output_dir} holds files of another run beside its own: '
                f'{record_files.listed(sorted(strays))}. Remove them.'
            )
        written = self._read_finished(journal.entries[1:])
        todo = [shard for shard in self.shards if shard.path not in written]
        self._check_space(todo)
        if not journal.entries:
            journal.append(self._identity)
        elif written:
            self._progress(f'going on: {len(written)} of {len(self.shards)} shards are finished')
        self._write(todo, written, journal, num_workers)
        return self._finish(written, journal)

    def _write(
        self,
        todo: Sequence[Shard],
        written: dict[str, WrittenShard],
        journal: Journal,
        num_workers: int,
    ) -> None:
        total = sum(len(shard.images) for shard in self.shards)
        already = total - sum(len(shard.images) for shard in todo)
        with (
            ProgressBar(total, 'images', self._progress, already) as bar,
            contextlib.closing(
                worker_pool.run(record_writer.write_shard, todo, num_workers, bar.advance)
            ) as results,
        ):
            for number, result in results:
                shard = todo[number]
                written[shard.path] = result
                journal.append(
                    {
                        'shard': self._output_name(shard.path),
                        'digest': self._digests[shard.path],
                        'num_samples': result.num_samples,
                        'num_bytes': result.num_bytes,
                        'reencoded': self._relative(result.reencoded),
                        'skipped': self._skipped(result.skipped),
                    }
                )

    def _finish(self, written: Mapping[str, WrittenShard], journal: Journal) -> Converted:
        splits = {
            split_name: record_writer.joined(
                [written[shard.path] for shard in shards],
                len(self._plan.splits[split_name].images),
            )
            for split_name, shards in self._shards_of.items()
        }
        converted = self._converted(splits)
        report = {
            **self._identity,
            'contents': self._contents(),
            'splits': {
                split_name: {
                    'num_samples': split.num_samples,
                    'num_shards': split.num_shards,
                    'reencoded': self._relative(split.reencoded),
                    'skipped': self._skipped(split.skipped),
                }
                for split_name, split in splits.items()
            },
        }
        path = os.path.join(self._plan.output_dir, REPORT)
        atomic_files.write_text(path, json.dumps(report, indent=1, ensure_ascii=True) + '\n')
        description.write_description(self._plan.output_dir, converted.description)
        journal.remove()
        return converted

    def _converted(self, splits: Mapping[str, WrittenSplit]) -> Converted:
        return Converted(self._plan.describe(splits), splits)

    def _read_finished(self, entries: Sequence[dict[str, Any]]) -> dict[str, WrittenShard]:
        """The finished shards by path: in the journal, whole on the disk, and of these images."""
        written: dict[str, WrittenShard] = {}
        changed = []
        paths = {self._output_name(shard.path): shard.path for shard in self.shards}
        for entry in entries:
            path = paths[entry['shard']]
            if entry['digest'] != self._digests[path]:
                changed.append(entry['shard'])
                written.pop(path, None)
            elif entry['skipped'] and not self._plan.rules.skip_bad:
                written.pop(path, None)
            elif os.path.exists(path) and os.path.getsize(path) == entry['num_bytes']:
                written[path] = WrittenShard(
                    entry['num_samples'],
                    entry['num_bytes'],
                    self._absolute(entry['reencoded']),
                    self._read_skipped(entry['skipped']),
                )
        changed = [name for name in changed if paths[name] not in written]
        if changed:
            self._progress(
                f'images of {len(changed)} finished shards have changed; these are written anew: '
                f'{record_files.listed(changed)}'
            )
        return written

    def _read_sizes(self, shard: Shard, names: Any) -> None:
        digest, total = hashlib.sha256(), 0
        for image in shard.images:
            size = self._size(image.path)
            total += max(size, 0)
            line = [
                self._relative([image.path])[0],
                image.label,
                image.synset,
                image.text,
                image.boxes,
                os.path.basename(image.annotation),
            ]
            name = json.dumps(line).encode() + b'\n'
            names.update(name)
            annotation_size = self._size(image.annotation) if image.annotation else 0
            digest.update(b'%d %d %s' % (size, annotation_size, name))
        self._sizes[shard.path] = total
        self._digests[shard.path] = digest.hexdigest()

    def _size(self, path: str) -> int:
        """In bytes; -1 for a file that is not there, where the bad ones are left out."""
        try:
            return os.stat(path).st_size
        except OSError as error:
            if self._plan.rules.skip_bad:
                return -1
            raise DataError(f'{path} cannot be read as an image: {error.strerror}') from error

    def _contents(self) -> str:
        """A digest of all names and sizes."""
        return hashlib.sha256(''.join(self._digests.values()).encode()).hexdigest()

    def _change(self, before: Mapping[str, Any]) -> str:
        """What differs from a run that `before` is the identity of, '' for nothing."""
        for flag in {**before['flags'], **self._identity['flags']}:
            old = before['flags'].get(flag, False)
            value = self._identity['flags'].get(flag, False)
            if old != value:
                return f'--{flag} was {old}, now it is {value}'
        for split_name in {**before['images'], **self._identity['images']}:
            old = before['images'].get(split_name, 0)
            number = self._identity['images'].get(split_name, 0)
            if old != number:
                return f'there were {old} images for {split_name}, now there are {number}'
        if before['names'] != self._identity['names']:
            return 'names or classes of images have changed'
        return ''

    def _check_space(self, todo: Sequence[Shard]) -> None:
        needed = sum(self._sizes[s.path] + _RECORD_OVERHEAD * len(s.images) for s in todo)
        free = shutil.disk_usage(self._plan.output_dir).free
        if needed > free:
            raise OutputError(
                f'No space left for {self._plan.output_dir}: about {needed / 1e6:,.0f} MB are '
                f'needed, {free / 1e6:,.0f} MB are free. Make room or give another folder.'
            )

    def _visible_files(self) -> list[str]:
        """Names of files in the folders of the splits that may be record files."""
        own = {JOURNAL, REPORT, description.FILE_NAME}
        found: list[str] = []
        for folder in sorted({os.path.dirname(shard.path) for shard in self.shards}):
            if os.path.isdir(folder):
                with os.scandir(folder) as entries:
                    found += sorted(e.name for e in entries if e.is_file() and e.name[0] != '.')
        return [name for name in found if name not in own]

    def _read_report(self) -> dict[str, Any]:
        path = os.path.join(self._plan.output_dir, REPORT)
        if not os.path.exists(path):
            return {}
        try:
            with open(path, encoding='utf-8') as file:
                report = json.load(file)
            report['skipped'] = [s for split in report['splits'].values() for s in split['skipped']]
            return {key: report[key] for key in (*_REPORTED, 'skipped')}
        except _DAMAGE as error:
            raise DataError(
                f'{path} cannot be read: {shortened(error)}. Give an empty folder.'
            ) from error

    def _relative(self, paths: Sequence[str]) -> list[str]:
        # Nearly all are below the folder, where this is ten times faster than relpath.
        prefix = os.path.join(self._plan.images_dir, '')
        return [
            path[len(prefix) :] if path.startswith(prefix) else os.path.relpath(path, prefix)
            for path in paths
        ]

    def _absolute(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(os.path.join(self._plan.images_dir, name) for name in names)

    def _skipped(self, skipped: Sequence[Skipped]) -> list[dict[str, str]]:
        names = self._relative([one.path for one in skipped])
        return [
            {'file': name, 'reason': one.reason} for name, one in zip(names, skipped, strict=True)
        ]

    def _read_skipped(self, skipped: Sequence[Mapping[str, str]]) -> tuple[Skipped, ...]:
        return tuple(Skipped(self._absolute([one['file']])[0], one['reason']) for one in skipped)

    def _output_name(self, path: str) -> str:
        return os.path.relpath(path, self._plan.output_dir)
