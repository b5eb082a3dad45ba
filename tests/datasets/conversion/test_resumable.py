"""A set is whole or goes on where it was, and its bytes do not tell what happened meanwhile."""

from __future__ import annotations

import json
import os
import pathlib
import shutil

import pytest

from datasets.conversion import journal, resumable
from datasets.conversion.resumable import Plan, SplitPlan
from datasets.records import atomic_files, description, record_writer
from datasets.records.description import Description, Split
from datasets.records.image_files import ImageFile
from datasets.records.record_writer import Rules
from slim.errors import DataError, OutputError

pytestmark = pytest.mark.once

SHARDS = {'train': 4, 'validation': 2}


def _describe(written):
    splits = {name: Split(split.num_samples, split.num_shards) for name, split in written.items()}
    return Description('x', 3, True, splits)


@pytest.fixture
def images(tmp_path, image_bytes):
    """Twelve training and four validation images."""
    folder = tmp_path / 'images'
    folder.mkdir()
    splits = {}
    for split, count in (('train', 12), ('validation', 4)):
        splits[split] = []
        for number in range(count):
            path = folder / f'{split}{number}.jpg'
            path.write_bytes(image_bytes(seed=number + 100 * len(splits)))
            splits[split].append(ImageFile(str(path), 1 + number % 2, f'n{1 + number % 2}'))
    return splits


class Run:
    """What was said, and the folder."""

    def __init__(self, output):
        self.output = output
        self.messages = []

    def convert(self, images, num_workers=1, shards=SHARDS, flags=None, **rules):
        plan = Plan(
            images_dir=os.path.dirname(images['train'][0].path),
            output_dir=str(self.output),
            splits={name: SplitPlan(images[name], shards[name], name) for name in images},
            flags=flags or {'train_shards': shards['train']},
            describe=_describe,
            rules=Rules(**rules),
        )
        return resumable.convert(plan, num_workers, self.messages.append)

    def content(self):
        """Names below the folder and bytes of all files."""
        return {
            str(path.relative_to(self.output)): path.read_bytes()
            for path in sorted(self.output.rglob('*'))
            if path.is_file()
        }


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / 'out')


@pytest.fixture
def whole(tmp_path, images):
    """The files of an uninterrupted conversion."""
    reference = Run(tmp_path / 'whole')
    reference.convert(images)
    return reference.content()


@pytest.fixture
def interrupt(monkeypatch, run, images):
    """interrupt(count): a conversion that is interrupted after `count` shards."""

    def interrupt(count, **kwargs):
        write_shard = record_writer.write_shard
        written = []

        def interrupted(shard, advance):
            if len(written) == count:
                raise KeyboardInterrupt
            written.append(shard.path)
            return write_shard(shard, advance)

        with monkeypatch.context() as patch:
            patch.setattr(record_writer, 'write_shard', interrupted)
            with pytest.raises(KeyboardInterrupt):
                run.convert(images, **kwargs)
        return written

    return interrupt


def _count_written(monkeypatch):
    write_shard = record_writer.write_shard
    written = []

    def spy(shard, advance):
        written.append(os.path.basename(shard.path))
        return write_shard(shard, advance)

    monkeypatch.setattr(record_writer, 'write_shard', spy)
    return written


def test_what_is_left_behind(whole):
    records = {f'train/train-0000{i}-of-00004' for i in range(4)}
    records |= {f'validation/validation-0000{i}-of-00002' for i in range(2)}
    assert set(whole) == {*records, 'dataset.json', 'conversion_report.json'}


@pytest.mark.parametrize('num_workers', [2, 3])
def test_the_number_of_processes_changes_no_byte(images, run, whole, num_workers):
    run.convert(images, num_workers)
    assert run.content() == whole


@pytest.mark.parametrize('count', [0, 1, 5])
def test_going_on_gives_the_same_bytes(interrupt, images, run, whole, monkeypatch, count):
    written = interrupt(count)
    assert not (run.output / 'dataset.json').exists()
    assert (run.output / 'unfinished.jsonl').exists()
    again = _count_written(monkeypatch)
    run.convert(images)
    assert run.content() == whole
    assert len(again) == 6 - count
    assert not set(again) & {os.path.basename(path) for path in written}


@pytest.mark.parametrize('damage', ['journal line cut', 'shard cut', 'shard gone', 'no line'])
def test_a_shard_that_is_not_surely_finished_is_written_anew(
    interrupt, images, run, whole, monkeypatch, damage
):
    interrupt(3)
    journal, shard = run.output / 'unfinished.jsonl', run.output / 'train/train-00002-of-00004'
    lines = journal.read_bytes().splitlines(keepends=True)
    if damage == 'journal line cut':
        journal.write_bytes(b''.join(lines)[:-10])
    elif damage == 'no line':
        journal.write_bytes(b''.join(lines[:-1]))
    elif damage == 'shard cut':
        shard.write_bytes(shard.read_bytes()[:-10])
    else:
        shard.unlink()
    again = _count_written(monkeypatch)
    run.convert(images)
    assert run.content() == whole
    assert len(again) == 4


def test_kills_within_lines_of_the_journal(interrupt, images, run, whole):
    for count in (2, 1, 1):
        interrupt(count)
        with open(run.output / 'unfinished.jsonl', 'ab') as journal:
            journal.write(b'{"shard": "train/tr')
    run.convert(images)
    assert run.content() == whole


def test_a_kill_within_the_first_line_of_the_journal(images, run, whole):
    run.output.mkdir()
    (run.output / 'unfinished.jsonl').write_bytes(b'{"flags": {"train')
    run.convert(images)
    assert run.content() == whole


def test_temporary_files_of_killed_runs_are_removed(interrupt, images, run, whole):
    interrupt(2)
    for name in ('train/.train-00003-of-00004.1234.tmp', '.dataset.json.99.tmp'):
        (run.output / name).write_bytes(b'half')
    run.convert(images)
    assert run.content() == whole


@pytest.mark.parametrize('step', ['report', 'description', 'journal'])
def test_a_kill_at_the_end(images, run, whole, monkeypatch, step):
    """Between any two of the last steps."""

    def killed(*args):
        raise KeyboardInterrupt

    target = {
        'report': (atomic_files, 'write_text'),
        'description': (description, 'write_description'),
        'journal': (resumable.Journal, 'remove'),
    }[step]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(*target, killed)
        run.convert(images)
    again = _count_written(monkeypatch)
    run.convert(images)
    assert run.content() == whole
    assert again == []


def test_a_finished_set_stays(images, run, whole, monkeypatch):
    first = run.convert(images)
    again = _count_written(monkeypatch)
    assert run.convert(images) == first
    assert again == []
    assert run.content() == whole
    assert 'is finished already' in run.messages[-1]


def test_a_finished_set_is_not_overwritten(images, run, whole, image_bytes):
    run.convert(images)
    pathlib.Path(images['train'][0].path).write_bytes(image_bytes(seed=1) + b'more')
    with pytest.raises(OutputError, match=r'dataset\.json says .* finished, but the sizes of'):
        run.convert(images)
    with pytest.raises(
        OutputError, match=r'finished, but there were 12 images for train, now .* 11'
    ):
        run.convert({**images, 'train': images['train'][1:]})
    (run.output / 'train/train-00001-of-00004').unlink()
    (run.output / 'conversion_report.json').unlink()
    with pytest.raises(OutputError, match=r'finished, but it was not made here'):
        run.convert(images)


# What has changed meanwhile.


def test_another_flag_is_told(interrupt, images, run):
    interrupt(2)
    before = run.content()
    with pytest.raises(
        OutputError, match=r'beginning of another .*: --train_shards was 4, now .* 3'
    ):
        run.convert(images, shards={'train': 3, 'validation': 2})
    with pytest.raises(OutputError, match='--gray_to_rgb was False, now it is True'):
        run.convert(images, rgb_only=True)
    assert run.content() == before


def test_other_images_are_told(interrupt, images, run, tmp_path):
    interrupt(2)
    fewer = {**images, 'train': images['train'][:-1]}
    with pytest.raises(OutputError, match='there were 12 images for train, now there are 11'):
        run.convert(fewer)
    shutil.copy(images['train'][3].path, tmp_path / 'images' / 'other.jpg')
    images['train'][3] = ImageFile(str(tmp_path / 'images' / 'other.jpg'), 2, 'n2')
    with pytest.raises(OutputError, match='names or classes of images have changed'):
        run.convert(images)


def test_a_repaired_image_is_taken(interrupt, images, run, image_bytes, monkeypatch, tmp_path):
    """Only the shards with images that have changed are written anew."""
    interrupt(3)
    repaired = pathlib.Path(images['train'][4].path)
    repaired.write_bytes(image_bytes(seed=77, size=(20, 20)))
    again = _count_written(monkeypatch)
    run.convert(images)
    assert sorted(again) == [
        'train-00001-of-00004',
        'train-00003-of-00004',
        'validation-00000-of-00002',
        'validation-00001-of-00002',
    ]
    assert any('images of 1 finished shards have changed' in line for line in run.messages)
    reference = Run(tmp_path / 'reference')
    reference.convert(images)
    assert run.content() == reference.content()


def test_files_of_another_run(images, run):
    (run.output / 'train').mkdir(parents=True)
    (run.output / 'train' / 'train-00000-of-00009').touch()
    with pytest.raises(OutputError, match='holds files of another run: train-00000-of-00009'):
        run.convert(images)
    assert [*run.content()] == ['train/train-00000-of-00009']


def test_files_of_another_run_among_the_own(interrupt, images, run):
    interrupt(2)
    (run.output / 'train' / 'train-00000-of-00009').touch()
    with pytest.raises(OutputError, match='beside its own: train-00000-of-00009'):
        run.convert(images)


def test_two_conversions_at_once(interrupt, images, run, whole):
    interrupt(1)
    journal = resumable.Journal(str(run.output / 'unfinished.jsonl'), print)
    with pytest.raises(OutputError, match='Another conversion is writing'):
        run.convert(images)
    with journal:
        pass  # ends, and its lock with it
    run.convert(images)
    assert run.content() == whole


# Bad files.


@pytest.fixture
def bad(images):
    """Two files that are no images, in different shards."""
    paths = [pathlib.Path(images['train'][number].path) for number in (1, 7)]
    paths[0].write_bytes(b'no image')
    paths[1].write_bytes(paths[1].read_bytes()[:-30])
    return paths


@pytest.mark.parametrize('num_workers', [1, 2])
def test_a_bad_file_stops_the_run(images, run, bad, num_workers):
    with pytest.raises(DataError, match=r'train[17]\.jpg cannot be read as an image'):
        run.convert(images, num_workers)
    assert not [name for name in run.content() if name.endswith('.tmp')]
    assert not (run.output / 'dataset.json').exists()


@pytest.mark.parametrize('num_workers', [1, 2])
def test_bad_files_are_left_out_and_listed(images, run, bad, num_workers):
    converted = run.convert(images, num_workers, skip_bad=True)
    assert converted.num_skipped == 2
    assert converted.splits['train'].num_samples == 10
    assert json.loads((run.output / 'dataset.json').read_text())['splits']['train'] == {
        'num_samples': 10,
        'num_shards': 4,
    }
    report = json.loads((run.output / 'conversion_report.json').read_text())
    skipped = report['splits']['train']['skipped']
    assert [one['file'] for one in skipped] == ['train1.jpg', 'train7.jpg']
    assert skipped[0]['reason'] == 'cannot be read as an image: of no known format'
    assert 'truncated' in skipped[1]['reason']
    assert run.convert(images, skip_bad=True) == converted
    with pytest.raises(OutputError, match='2 images were left out'):
        run.convert(images)


def test_skipping_may_begin_and_end_in_between(images, run, bad, tmp_path, monkeypatch):
    """After a stop at a bad file the user says to skip; what was skipped is not kept otherwise."""
    with pytest.raises(DataError):
        run.convert(images)
    monkeypatch.setattr(description, 'write_description', _interrupt)
    with pytest.raises(KeyboardInterrupt):
        run.convert(images, skip_bad=True)
    with pytest.raises(DataError, match=r'train1\.jpg'):
        run.convert(images)
    monkeypatch.undo()
    run.convert(images, skip_bad=True)
    reference = Run(tmp_path / 'reference')
    reference.convert(images, skip_bad=True)
    assert run.content() == reference.content()


def _interrupt(*args):
    raise KeyboardInterrupt


def test_a_shard_of_bad_files_only(images, run):
    for image in images['train'][:3]:
        pathlib.Path(image.path).write_bytes(b'')
    with pytest.raises(DataError, match=r'None of the 3 images for .*train-00000-of-00004'):
        run.convert(images, skip_bad=True)


def test_a_file_that_is_gone(images, run):
    os.unlink(images['validation'][0].path)
    with pytest.raises(DataError, match=r'validation0\.jpg cannot be read.*No such file'):
        run.convert(images)
    assert not run.output.exists()


def test_gray_images_as_rgb(images, run, image_bytes):
    pathlib.Path(images['train'][2].path).write_bytes(image_bytes(mode='L'))
    converted = run.convert(images, rgb_only=True)
    assert converted.splits['train'].reencoded == (images['train'][2].path,)
    report = json.loads((run.output / 'conversion_report.json').read_text())
    assert report['splits']['train']['reencoded'] == ['train2.jpg']


# Full disks.


def test_too_little_space_is_seen_before_anything_is_written(images, run, monkeypatch):
    class Usage:
        free = 1000

    monkeypatch.setattr(shutil, 'disk_usage', lambda path: Usage)
    with pytest.raises(OutputError, match=r'No space left for .* needed, 0 MB are free'):
        run.convert(images)
    assert run.content() == {}


@pytest.mark.parametrize('call', range(1, 9))
def test_a_disk_that_fills_up_at_any_rename(images, run, whole, monkeypatch, call):
    """Six shards, the report and dataset.json."""
    replace, calls = os.replace, []

    def full(*args):
        calls.append(args)
        if len(calls) == call:
            raise OSError(28, os.strerror(28))
        return replace(*args)

    with monkeypatch.context() as patch, pytest.raises(OutputError, match='No space left'):
        patch.setattr(os, 'replace', full)
        run.convert(images)
    assert not (run.output / 'dataset.json').exists()
    assert not [name for name in run.content() if name.endswith('.tmp')]
    run.convert(images)
    assert run.content() == whole


# What stands in the files that are left behind may be anything.


@pytest.mark.parametrize(
    'content', [b'{\n', b'[1]\n', b'null\n', b'[' * 100_000 + b'\n', b'\xff\n', b'{"flags": 3}\n']
)
def test_a_damaged_journal_is_named(images, run, interrupt, content):
    interrupt(2)
    (run.output / resumable.JOURNAL).write_bytes(content)
    with pytest.raises(OutputError, match='is damaged'):
        run.convert(images)


@pytest.mark.parametrize(
    'content', [b'{', b'[]', b'{"splits": {"train": 1}}', b'[' * 100_000, b'{"splits": {}}']
)
def test_a_damaged_report_is_named(images, run, content):
    run.convert(images)
    (run.output / resumable.REPORT).write_bytes(content)
    with pytest.raises(DataError, match=r'conversion_report\.json cannot be read'):
        run.convert(images)


@pytest.mark.parametrize('first', [True, False])
def test_upright_is_not_changed_in_between(images, run, interrupt, first):
    interrupt(2, upright=first)
    with pytest.raises(OutputError, match=f'--upright was {first}, now it is {not first}'):
        run.convert(images, upright=not first)
    assert run.convert(images, upright=first)


def test_a_line_of_the_journal_is_on_the_disk_before_it_counts(tmp_path, monkeypatch):
    path = tmp_path / 'journal'
    with journal.Journal(str(path), print) as opened:
        monkeypatch.setattr(os, 'fsync', lambda file: synced.append(path.read_text()))
        synced = []
        opened.append({'shard': 1})
        opened.append({'shard': 2})
    assert synced == ['{"shard": 1}\n', '{"shard": 1}\n{"shard": 2}\n']
