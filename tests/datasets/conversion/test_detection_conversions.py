"""KITTI's and Pascal VOC's folders become records, whole or not at all."""

import io
import json
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from datasets import detection_factory
from datasets.conversion import detection_conversions, kitti_folders, resumable, verification
from datasets.records import example_encoding, framing
from slim.errors import DataError, OutputError, UsageError

LINE = '{} {} {} -1.5 {} 1.5 1.6 4.1 2.0 1.7 15.0 -1.4\n'
DONT_CARE = 'DontCare -1 -1 -10 {} -1 -1 -1 -1000 -1000 -1000 -10\n'
LABELS = {
    '000000': LINE.format('Van', '0.00', 2, '10.10 5.20 30.30 15.40')
    + LINE.format('Car', '0.30', 1, '5.55 6.17 40.01 31.17')
    + DONT_CARE.format('1.00 2.00 8.00 9.00')
    + DONT_CARE.format('9.17 5.52 8.37 4.72')
    + LINE.format('Pedestrian', '0.00', 0, '41.00 3.00 49.00 23.00'),
    '000001': '',
    '000002': LINE.format('Cyclist', '0.00', 3, '0.00 0.00 50.00 32.00'),
    '000003': LINE.format('Car', '0.00', 0, '1.00 1.00 9.00 9.00'),
}


def png(number, size=(50, 32), mode='RGB', image_format='PNG'):
    pixels = np.random.RandomState(number).randint(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, image_format)
    return file.getvalue()


@pytest.fixture
def kitti(tmp_path):
    """Four small pictures in KITTI's form, in a split by hand."""
    root = tmp_path / 'kitti'
    for folder in ('training/image_2', 'training/label_2', 'ImageSets'):
        (root / folder).mkdir(parents=True)
    for number, (stem, lines) in enumerate(LABELS.items()):
        (root / f'training/image_2/{stem}.png').write_bytes(png(number))
        (root / f'training/label_2/{stem}.txt').write_text(lines)
    (root / 'ImageSets/train.txt').write_text('000000\n000001\n000002\n')
    (root / 'ImageSets/val.txt').write_text('000003\n')
    return root


@pytest.fixture
def run(kitti, tmp_path):
    def run(splits=('train', 'val'), name='kitti', root=kitti, **how):
        messages = []
        out = str(tmp_path / 'out')
        converted = detection_conversions.convert(
            name, str(root), out, list(splits), progress=messages.append, **how
        )
        return converted, messages

    return run


def records(path):
    return [example_encoding.decode(frame.data) for frame in framing.read_records(str(path))]


def by_name(path):
    return {one['image/filename'][0].decode(): one for one in records(path)}


def test_kitti_has_the_keys_of_the_contract(run, kitti, tmp_path):
    _, messages = run()
    out = tmp_path / 'out'
    assert sorted(os.listdir(out)) == [
        'conversion_report.json',
        'dataset.json',
        'train_000.tfrecord',
        'val_000.tfrecord',
    ]
    assert messages[0] == (
        'train: 3 pictures; objects: Car 1, Cyclist 1, DontCare 2, Pedestrian 1, Van 1'
    )
    found = by_name(out / 'train_000.tfrecord')
    assert sorted(found) == ['000000.png', '000001.png', '000002.png']
    one = found['000000.png']
    assert one['image/encoded'] == [(kitti / 'training/image_2/000000.png').read_bytes()]
    assert one['image/format'] == [b'PNG']
    assert one['image/shape'] == [32, 50, 3]
    assert (one['image/height'], one['image/width'], one['image/channels']) == ([32], [50], [3])
    box = 'image/object/bbox/'
    assert one[f'{box}label'] == [2, 0]
    assert one[f'{box}label_text'] == [b'Car', b'Pedestrian']
    assert one[f'{box}xmin'] == pytest.approx([5.55, 41.0], abs=1e-5)
    assert one[f'{box}ymin'] == pytest.approx([6.17, 3.0], abs=1e-5)
    assert one[f'{box}xmax'] == pytest.approx([40.01, 49.0], abs=1e-5)
    assert one[f'{box}ymax'] == pytest.approx([31.17, 23.0], abs=1e-5)
    assert one[f'{box}occluded'] == [1, 0] and one[f'{box}difficult'] == [0, 0]
    assert one[f'{box}truncated'] == pytest.approx([0.3, 0.0])
    # Of the two regions without labels one is inverted.
    assert one['image/object/dontcare/xmax'] == [8.0]
    assert one['image/object/other/label_text'] == [b'Van']
    assert found['000001.png'][f'{box}label'] == []
    about = json.loads((out / 'dataset.json').read_text())
    assert about['label_names'] == ['Pedestrian', 'Cyclist', 'Car']
    assert about['splits']['train'] == {'num_samples': 3, 'num_shards': 1, 'max_boxes': 2}


def test_what_training_and_scores_read(run, tmp_path):
    run()
    dataset = detection_factory.get_dataset('kitti', 'train', str(tmp_path / 'out'))
    assert (dataset.num_samples, dataset.num_classes, dataset.max_boxes) == (3, 3, 2)
    pictures = {picture.name: picture for picture in dataset.pictures()}
    van, car, region, pedestrian = pictures['000000.png'].objects
    assert pictures['000000.png'].size == (32, 50)
    assert [one.line for one in (van, car, region, pedestrian)] == [1, 2, 3, 5]
    assert (car.type, car.box, car.occluded) == ('Car', (5.55, 6.17, 40.01, 31.17), 1)
    assert car.box[3] - car.box[1] == 31.17 - 6.17 and car.truncated == 0.3
    assert (region.type, region.occluded, region.truncated) == ('DontCare', -1, -1)
    assert (van.type, van.occluded) == ('Van', 2)
    parsed = {}
    for record in tf.data.TFRecordDataset(dataset.data_sources).map(dataset.parse):
        parsed[record['filename'].numpy().decode()] = record
    one = parsed['000000.png']
    np.testing.assert_allclose(one['boxes'], [[5.55, 6.17, 40.01, 31.17], [41, 3, 49, 23]])
    np.testing.assert_array_equal(one['labels'], [2, 0])
    np.testing.assert_array_equal(one['size'], [32, 50])
    np.testing.assert_allclose(one['bbox'][0, 1], [3 / 32, 41 / 50, 23 / 32, 49 / 50])
    assert int(one['label']) == 2
    assert parsed['000001.png']['boxes'].shape == (0, 4)
    assert int(parsed['000001.png']['label']) == 0
    (tmp_path / 'out' / 'train_000.tfrecord').unlink()
    with pytest.raises(DataError, match='train'):
        detection_factory.get_dataset('kitti', 'train', str(tmp_path / 'out'))
    with pytest.raises(UsageError, match=r"'kiti'.*'kitti'"):
        detection_factory.get_dataset('kiti', 'train', str(tmp_path / 'out'))


def test_a_missing_file_of_a_set_is_seen(run, tmp_path, monkeypatch):
    monkeypatch.setattr(detection_conversions.detection_writer, 'PICTURES_PER_FILE', 2)
    run()
    out = tmp_path / 'out'
    assert (out / 'train_001.tfrecord').exists()
    (out / 'train_000.tfrecord').unlink()
    with pytest.raises(DataError, match="lacks 1 of the 2 files of the split 'train'"):
        detection_factory.get_dataset('kitti', 'train', str(out))


def wrong(kitti, line, stem='000002'):
    with open(kitti / f'training/label_2/{stem}.txt', 'a') as file:
        file.write(line)


FOURTEEN = LINE.format('Car', '0.00', 0, '1 2 3')
OUTSIDE = LINE.format('Car', '0.00', 0, '10 10 52 30')


@pytest.mark.once
@pytest.mark.parametrize('line', [FOURTEEN, OUTSIDE])
def test_a_wrong_label_file_stops_the_run_or_is_left_out(run, kitti, tmp_path, line):
    wrong(kitti, line)
    out = tmp_path / 'out'
    with pytest.raises(DataError, match=r'label_2/000002.txt, line 2: '):
        run()
    assert not (out / 'dataset.json').exists()
    assert not list(out.glob('train*')) if out.exists() else True

    converted, messages = run(skip_bad=True)
    assert converted.num_skipped == 1
    assert sorted(by_name(out / 'train_000.tfrecord')) == ['000000.png', '000001.png']
    assert any('left out' in line and '000002.txt, line 2' in line for line in messages)
    assert converted.description.splits['train'].num_samples == 2


@pytest.mark.once
def test_an_interrupted_run_goes_on_and_sees_changed_labels(run, kitti, tmp_path, monkeypatch):
    written, write = [], resumable.record_writer.write_shard

    def interrupted(shard, advance):
        if 'val' in shard.path and not written:
            written.append(shard.path)
            raise KeyboardInterrupt
        return write(shard, advance)

    monkeypatch.setattr(resumable.record_writer, 'write_shard', interrupted)
    with pytest.raises(KeyboardInterrupt):
        run()
    out = tmp_path / 'out'
    assert (out / 'train_000.tfrecord').exists() and not (out / 'dataset.json').exists()
    labels = kitti / 'training/label_2/000003.txt'
    before = labels.read_text()
    labels.write_text(before.replace('Car', 'Van'))  # of the same size
    with pytest.raises(OutputError, match='names or classes of images have changed'):
        run()
    labels.write_text(before)
    _, messages = run()
    assert any('going on: 1 of 2 shards' in line for line in messages)
    assert (out / 'dataset.json').exists() and not (out / 'unfinished.jsonl').exists()
    assert run()[1][-1].endswith('is finished already: nothing to do')
    with pytest.raises(OutputError, match='written together'):
        run(splits=['val'])


@pytest.mark.once
def test_the_number_of_processes_changes_nothing(run, tmp_path, monkeypatch):
    run(num_workers=2)
    two = {path.name: path.read_bytes() for path in (tmp_path / 'out').iterdir()}
    for path in (tmp_path / 'out').iterdir():
        path.unlink()
    run()
    assert two == {path.name: path.read_bytes() for path in (tmp_path / 'out').iterdir()}


@pytest.mark.once
def test_classes_of_the_users_own(run, kitti):
    wrong(kitti, LINE.format('Dog', '0.00', 0, '1 2 9 9'))
    with pytest.raises(DataError, match=r"000002.txt, line 2: the type 'Dog'"):
        run()
    with pytest.raises(DataError, match=r'no object of the classes Cat.*Car 2.*--classes'):
        run(classes=['Dog', 'Cat'])
    with pytest.raises(DataError, match='no object of the classes Tram, Misc'):
        run(classes=['Tram', 'Misc'], skip_bad=True)
    for classes in (['Car', 'Car'], ['DontCare'], [''], ['two words']):
        with pytest.raises(UsageError, match='--classes'):
            run(classes=classes)
    converted, _ = run(classes=['Dog', 'Van'])
    assert converted.description.label_names == ('Dog', 'Van')


@pytest.mark.once
def test_pictures_that_training_would_not_decode(run, kitti, tmp_path):
    pictures = kitti / 'training/image_2'
    (pictures / '000000.png').write_bytes(png(0, mode='RGBA'))
    (pictures / '000001.png').write_bytes(png(1, mode='L'))
    cut = png(2)
    (pictures / '000002.png').write_bytes(cut[: len(cut) // 2])
    with pytest.raises(DataError, match=r'000002.png cannot be read as an image'):
        run()
    _, messages = run(skip_bad=True)
    assert any('encoded anew' in line and '000000.png' in line for line in messages)
    found = by_name(tmp_path / 'out' / 'train_000.tfrecord')
    assert sorted(found) == ['000000.png', '000001.png']
    assert found['000001.png']['image/channels'] == [1]
    anew = Image.open(io.BytesIO(found['000000.png']['image/encoded'][0]))
    assert (anew.mode, anew.size) == ('RGB', (50, 32))


@pytest.mark.once
def test_what_a_split_file_names_in_vain_is_left_out_if_asked_for(run, kitti):
    (kitti / 'ImageSets/train.txt').write_text('000000\n000009\n000002\n')
    (kitti / 'training/label_2/000002.txt').unlink()
    train = run(skip_bad=True)[0].splits['train']
    assert train.num_samples == 1
    assert [left_out.path[-10:] for left_out in train.skipped] == ['000002.png', '000009.png']


@pytest.mark.once
def test_split_files_that_do_not_fit(run, kitti):
    lists = kitti / 'ImageSets'
    (lists / 'train.txt').write_text('000000\n\n000009\n')
    with pytest.raises(DataError, match=r"train.txt, line 3: there is no picture '000009'"):
        run()
    (lists / 'train.txt').write_text('000000\n000000\n')
    with pytest.raises(DataError, match=r'line 2: .* is in the list twice'):
        run()
    (lists / 'train.txt').write_text('000000\n')
    (kitti / 'training/label_2/000000.txt').unlink()
    with pytest.raises(DataError, match='line 1: there is no label file'):
        run()
    with pytest.raises(DataError, match='kitti_random_split_train_val'):
        run(splits=['train2'])
    with pytest.raises(UsageError, match='no label files'):
        run(splits=['test'])
    with pytest.raises(UsageError, match='no name of one split'):
        run(splits=['train', 'train'])
    with pytest.raises(UsageError, match='no name of one split'):
        run(splits=['../train'])
    assert not (kitti.parent / 'out').exists()


@pytest.mark.once
def test_lists_are_drawn_by_the_seed(kitti):
    for path in (kitti / 'ImageSets').iterdir():
        path.unlink()
    pictures = kitti / 'training/image_2'
    for number in range(4, 41):
        (pictures / f'{number:06d}.png').write_bytes(b'')
    sizes = kitti_folders.write_lists(str(kitti), 3)
    assert sizes == {'trainval': 41, 'train': 20, 'val': 21}

    def lists():
        return {path.stem: path.read_text().split() for path in (kitti / 'ImageSets').iterdir()}

    first = lists()
    assert first['trainval'] == sorted(first['train'] + first['val'])
    assert all(stems == sorted(stems) for stems in first.values())
    assert first['train'] != first['trainval'][:20]
    kitti_folders.write_lists(str(kitti), 3)
    assert lists() == first
    kitti_folders.write_lists(str(kitti), 4)
    assert lists()['train'] != first['train']
    assert kitti_folders.write_lists(str(kitti), 4, 0.8)['train'] == 32
    with pytest.raises(UsageError, match='train_fraction=1'):
        kitti_folders.write_lists(str(kitti), 4, 1.0)
    with pytest.raises(DataError, match='one split empty'):
        kitti_folders.write_lists(str(kitti), 4, 0.01)


@pytest.mark.once
def test_files_of_an_editor_that_marks_utf_8(run, kitti):
    for name in ('ImageSets/train.txt', 'training/label_2/000002.txt'):
        (kitti / name).write_text('\ufeff' + (kitti / name).read_text().replace('\n', '\r\n'))
    converted, _ = run()
    assert converted.splits['train'].num_samples == 3


@pytest.mark.once
def test_both_forms_of_the_folders(run, kitti, tmp_path):
    below = tmp_path / 'seed' / 'data'
    below.mkdir(parents=True)
    kitti.rename(below / 'KITTI')
    converted, _ = run(splits=['trainval'], root=tmp_path / 'seed')
    assert converted.description.splits['trainval'].num_samples == 4
    with pytest.raises(DataError, match='no pictures of KITTI'):
        run(root=tmp_path)
    with pytest.raises(DataError, match='--dataset_root'):
        run(root=tmp_path / 'nowhere')


def test_pascal_voc(run, tmp_path):
    root = tmp_path / 'devkit' / 'VOCdevkit'
    for year, stem, box in (('2007', '000005', '11 6 25 32'), ('2012', '2008_000001', '1 1 50 32')):
        voc = root / f'VOC{year}'
        for folder in ('Annotations', 'JPEGImages', 'ImageSets/Main'):
            (voc / folder).mkdir(parents=True)
        (voc / f'JPEGImages/{stem}.jpg').write_bytes(png(1, image_format='JPEG'))
        sides = ''.join(
            f'<{side}>{value}</{side}>'
            for side, value in zip(('xmin', 'ymin', 'xmax', 'ymax'), box.split(), strict=True)
        )
        (voc / f'Annotations/{stem}.xml').write_text(
            '<annotation><object><name>cow</name><truncated>1</truncated><difficult>1</difficult>'
            f'<bndbox>{sides}</bndbox></object></annotation>'
        )
        (voc / 'ImageSets/Main/trainval.txt').write_text(f'{stem}\n')
    converted, _ = run(['trainval'], 'pascalvoc', root.parent)
    assert converted.description.splits['trainval'].num_samples == 2
    one = by_name(tmp_path / 'out' / 'trainval_000.tfrecord')['000005.jpg']
    box = 'image/object/bbox/'
    assert (one['image/format'], one[f'{box}label']) == ([b'JPEG'], [10])
    assert (one[f'{box}difficult'], one[f'{box}truncated']) == ([1], [1])
    sides = [one[f'{box}{side}'][0] for side in ('xmin', 'ymin', 'xmax', 'ymax')]
    assert sides == pytest.approx([10 / 50, 5 / 32, 25 / 50, 1.0])
    dataset = detection_factory.get_dataset('pascalvoc', 'trainval', str(tmp_path / 'out'))
    assert (dataset.num_classes, dataset.has_background) == (21, True)
    found = {picture.name: picture.objects[0] for picture in dataset.pictures()}
    assert found['000005.jpg'].box == (10, 5, 25, 32) and found['000005.jpg'].difficult == 1
    parsed = next(iter(tf.data.TFRecordDataset(dataset.data_sources).map(dataset.parse)))
    assert float(parsed['boxes'][0, 3]) == 32.0
    with pytest.raises(DataError, match="no pictures of the split 'test'"):
        run(['test'], 'pascalvoc', root.parent)
    first = root / 'VOC2007/ImageSets/Main/trainval.txt'
    annotation = root / 'VOC2007/Annotations/000005.xml'
    whole = annotation.read_text()
    shutil.rmtree(tmp_path / 'out')
    outside, no_annotation = whole.replace('>25<', '>125<'), '<html></html>'
    for names, text, message in (
        ('000005 1\n000006 -1\n', whole, r'trainval.txt, line 2: there is no .*000006.jpg'),
        ('000005\n000005\n', whole, r'trainval.txt, line 2: .* is in the list twice'),
        ('000005\n', no_annotation, "000005.xml is no XML file .* holds 'html'"),
        ('000005\n', outside, r'000005.xml, object 1: the box 10 5 125 32 .* out of the picture'),
    ):
        first.write_text(names)
        annotation.write_text(text)
        with pytest.raises(DataError, match=message):
            run(['trainval'], 'pascalvoc', root.parent)


@pytest.mark.once
def test_verification_counts_boxes_and_names_what_is_wrong(run, tmp_path, monkeypatch):
    run()
    out = tmp_path / 'out'
    findings = verification.verify(str(out), progress=lambda line: None)
    assert findings.num_problems == 0
    assert findings.splits['train'].labels == {2: 1, 0: 1, 1: 1}
    path = out / 'train_000.tfrecord'
    features = records(path)
    features[0]['image/object/bbox/label'] = [7]
    features[0]['image/object/bbox/xmin'] = [1.0]
    for side in ('ymin', 'xmax', 'ymax'):
        features[0][f'image/object/bbox/{side}'] = [9.0]
    features[0]['image/object/bbox/ymin'] = [2.0]
    features[1]['image/object/bbox/label'] = [0] * 5
    features[2]['image/object/bbox/label'] = [0]
    for side in ('xmin', 'ymin', 'xmax', 'ymax'):
        features[2][f'image/object/bbox/{side}'] = [5.0]
    with open(path, 'wb') as file:
        for one in features:
            framing.write_record(file, encoded(one))
    found = verification.verify(str(out), progress=lambda line: None)
    messages = [problem.message for problem in found.problems]
    assert 'the label is 7, not one of 0 to 2' in messages[0]
    assert 'not as many labels as boxes' in messages[1]
    assert 'the box 5.0 5.0 5.0 5.0 has no area' in messages[2]


def encoded(features):
    make = {
        bytes: example_encoding.bytes_feature,
        float: example_encoding.float_feature,
        int: example_encoding.int64_feature,
    }
    return example_encoding.example(
        {key: make[type(values[0])](*values) for key, values in features.items() if values}
    )
