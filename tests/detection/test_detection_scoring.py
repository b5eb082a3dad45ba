"""Average precision by the official tools' figures, and the rules of each by hand."""

from __future__ import annotations

import json

import detector_facts
import numpy as np
import pytest

from detection import kitti_ap, kitti_results, voc_ap
from detection.truth import PictureDetections, PictureTruth

pytestmark = pytest.mark.once

KITTI = json.loads((detector_facts.DATA / 'kitti_eval.json').read_text())


def truth(*rows):
    """Rows of (type, box), then truncated, occluded and difficult where they are not 0."""
    rows = [(*row, *(0, 0, 0)[len(row) - 2 :]) for row in rows]
    return PictureTruth(
        'picture',
        np.array([row[1] for row in rows], np.float64).reshape(-1, 4),
        [row[0] for row in rows],
        np.array([row[2] for row in rows], np.float64),
        np.array([row[3] for row in rows], np.int64),
        np.array([row[4] for row in rows], bool),
    )


def found(*rows):
    """Rows of (type, box, score)."""
    return PictureDetections(
        np.array([row[1] for row in rows], np.float64).reshape(-1, 4),
        [row[0] for row in rows],
        np.array([row[2] for row in rows], np.float64),
    )


def from_lines(picture):
    labels = [line.split() for line in picture['labels']]
    detections = [line.split() for line in picture['detections']]
    return (
        truth(*((row[0], row[4:8], float(row[1]), int(row[2])) for row in labels)),
        found(*((row[0], row[4:8], float(row[15])) for row in detections)),
    )


def kitti(truths, detections, kind='car', level='easy', rules='2017'):
    return kitti_ap.evaluate(truths, detections, rules, [kind])[kind][level]


@pytest.mark.parametrize('case', KITTI['cases'])
@pytest.mark.parametrize(
    ('rules', 'expected'),
    [('2017', 'official'), ('2012', 'official'), ('squeezedet', 'squeezedet')],
)
def test_kitti_figures_are_the_official_tools(case, rules, expected):
    case = KITTI['cases'][case]
    truths, detections = zip(*map(from_lines, case['images']), strict=True)
    ours = kitti_ap.evaluate(truths, detections, rules)
    for kind, levels in case['expected'][expected].items():
        for level, known in levels.items():
            result = ours[kind][level]
            assert result.objects == known['ground_truths'], (kind, level)
            assert result.thresholds == known['thresholds'], (kind, level)
            assert result.ap11 == pytest.approx(known['ap11'], abs=1e-8)
            assert result.ap40 == pytest.approx(known['ap40'], abs=1e-8)
            np.testing.assert_allclose(result.precision, known['precision41'], atol=1e-8)


BOX = [100, 100, 200, 150]


@pytest.mark.parametrize('row', KITTI['perfect_detector']['rows'], ids=lambda row: str(row['n']))
def test_a_perfect_detector_on_few_objects(row):
    number = row['n']
    pairs = [(truth(('Car', BOX)), found(('Car', BOX, 1 - n / 1000))) for n in range(number)]
    result = kitti(*zip(*pairs, strict=True))
    assert result.thresholds == row['thresholds']
    assert result.ap11 == pytest.approx(row['ap11'], abs=1e-6)
    assert result.ap40 == pytest.approx(row['ap40'], abs=1e-6)


class TestKittiRules:
    """One object that is found at recall 0: precision there is what each rule changes."""

    def precision(self, labels, detections, rules='2017', kind='car', level='easy'):
        return kitti([truth(*labels)], [found(*detections)], kind, level, rules).precision[0]

    FALSE = ('Car', [500, 100, 600, 150], 0.95)
    TRUE = ('Car', BOX, 0.9)
    CAR = ('Car', BOX)

    def test_a_wrong_detection_costs_half(self):
        assert self.precision([self.CAR], [self.TRUE]) == 1
        assert self.precision([self.CAR], [self.TRUE, self.FALSE]) == 0.5

    @pytest.mark.parametrize('kind', ['DontCare', 'Van'])
    def test_a_region_without_care_and_a_neighbour_excuse(self, kind):
        labels = [self.CAR, (kind, self.FALSE[1])]
        assert self.precision(labels, [self.TRUE, self.FALSE]) == 1

    def test_an_inverted_region_excuses_nothing(self):
        labels = [self.CAR, ('DontCare', [600, 150, 500, 100])]
        assert self.precision(labels, [self.TRUE, self.FALSE]) == 0.5

    def test_a_region_covers_by_the_detections_own_area(self):
        labels = [self.CAR, ('DontCare', [0, 100, 5000, 150])]
        assert self.precision(labels, [self.TRUE, self.FALSE]) == 1

    def test_no_excuse_for_another_class_or_by_another_neighbour(self):
        labels = [self.CAR, ('Truck', self.FALSE[1]), ('Person_sitting', self.FALSE[1])]
        assert self.precision(labels, [self.TRUE, self.FALSE]) == 0.5

    @pytest.mark.parametrize(
        ('truncated', 'occluded', 'levels'),
        [(0.15, 0, 3), (0.16, 0, 2), (0.31, 0, 1), (0.51, 0, 0), (0, 1, 2), (0, 2, 1), (0, 3, 0)],
    )
    def test_levels(self, truncated, occluded, levels):
        picture = [truth(('Car', BOX, truncated, occluded))]
        objects = [kitti(picture, [found()], level=level).objects for level in kitti_ap.LEVELS]
        assert sum(objects) == levels
        assert sorted(objects) == objects  # Each level contains the one before.

    @pytest.mark.parametrize(('rules', 'objects'), [('2017', 0), ('2012', 1), ('squeezedet', 1)])
    def test_an_object_of_exactly_the_least_height(self, rules, objects):
        picture = [truth(('Car', [0, 0, 100, 40]))]
        assert kitti(picture, [found()], rules=rules).objects == objects

    @pytest.mark.parametrize(('rules', 'precision'), [('2017', 1), ('squeezedet', 0.5)])
    def test_a_low_detection_is_no_false_positive(self, rules, precision):
        low = ('Car', [500, 100, 600, 139.9], 0.95)
        assert self.precision([self.CAR], [self.TRUE, low], rules) == precision

    def test_overlap_has_to_be_above_the_limit(self):
        wide = [0, 0, 100, 100]
        assert self.precision([('Car', wide)], [('Car', [0, 0, 70, 100], 0.9)]) == 0
        assert self.precision([('Car', wide)], [('Car', [0, 0, 70.1, 100], 0.9)]) == 1
        people = [('Pedestrian', wide)], [('Pedestrian', [0, 0, 51, 100], 0.9)]
        assert self.precision(*people, kind='pedestrian') == 1

    def test_names_are_compared_without_case_and_classes_apart(self):
        assert self.precision([('CAR', BOX)], [('car', BOX, 0.9)]) == 1
        assert self.precision([self.CAR], [self.TRUE, ('Cyclist', *self.FALSE[1:])]) == 1

    def test_of_two_detections_of_one_object_one_is_wrong(self):
        second = ('Car', BOX, 0.8)
        assert kitti([truth(self.CAR)], [found(self.TRUE, second)]).precision[0] == 1
        both = [truth(self.CAR, self.FALSE[:2])], [found(self.TRUE, second, self.FALSE)]
        assert kitti(*both).precision.tolist()[:2] == [1, 1]

    def test_a_score_that_is_no_number_finds_nothing(self):
        nothing = ('Car', BOX, np.nan)
        assert self.precision([self.CAR], [nothing, self.TRUE, nothing]) == 1
        assert self.precision([self.CAR], [nothing]) == 0

    def test_a_class_that_was_not_found_and_an_empty_picture(self):
        result = kitti([truth(self.CAR), truth()], [found(), found()])
        assert (result.objects, result.detections, result.ap11, result.ap40) == (1, 0, 0, 0)


@pytest.mark.parametrize(
    ('hits', 'objects', 'voc07', 'area'),
    [
        ([1, 1, 0, 1, 0, 0, 1], 5, 0.69480519, 0.66428571),
        ([1] * 7, 10, 0.72727273, 0.70),
        ([0, 1, 0, 1], 3, 0.31818182, 0.33333333),
        ([1] * 6, 20, 0.36363636, 0.30),
        ([], 5, 0, 0),
        ([0, 0], 0, 0, 0),
    ],
)
def test_voc_figures(hits, objects, voc07, area):
    assert voc_ap.eleven_points(hits, objects) == pytest.approx(voc07, abs=1e-8)
    assert voc_ap.area(hits, objects) == pytest.approx(area, abs=1e-8)


class TestVoc:
    def hits(self, truths, detections, **kwargs):
        result = voc_ap.evaluate(truths, detections, ['car'], **kwargs)['car']
        return result.hits.tolist(), result.objects

    CAR = ('car', BOX)
    FAR = (500, 100, 600, 150)

    def test_by_score_over_all_pictures(self):
        truths = [truth(self.CAR), truth(self.CAR)]
        detections = [found(('car', BOX, 0.3)), found(('car', BOX, 0.9), ('car', self.FAR, 0.5))]
        assert self.hits(truths, detections) == ([True, False, True], 2)

    def test_a_second_detection_is_wrong(self):
        detections = [found(('car', BOX, 0.3), ('car', BOX, 0.4))]
        assert self.hits([truth(self.CAR)], detections) == ([True, False], 1)

    def test_what_is_difficult_does_not_count_however_often(self):
        labels = truth(self.CAR, ('car', self.FAR, 0, 0, 1))
        detections = [found(*[('car', self.FAR, 0.5)] * 2, ('car', BOX, 0.4))]
        assert self.hits([labels], detections) == ([True], 1)

    def test_a_score_that_is_no_number_finds_nothing(self):
        detections = [found(('car', BOX, np.nan), ('car', BOX, 0.5), ('car', self.FAR, np.nan))]
        assert self.hits([truth(self.CAR)], detections) == ([True], 1)

    def test_half_is_enough_and_the_last_pixel_counts(self):
        labels, box = [truth(('car', [1, 1, 10, 10]))], [1, 1, 10, 5]
        assert self.hits(labels, [found(('car', box, 0.5))]) == ([True], 1)
        assert self.hits(labels, [found(('car', box, 0.5))], inclusive=False) == ([False], 1)

    def test_other_classes_and_pictures_without_objects(self):
        detections = [found(('bus', BOX, 0.5)), found(('car', BOX, 0.5))]
        assert self.hits([truth(self.CAR), truth()], detections) == ([False], 1)
        assert self.hits([truth(self.CAR)], [found()]) == ([], 1)


def test_result_lines():
    line = 'Car -1 -1 -10 100.00 100.25 200.00 150.00 -1 -1 -1 -1000 -1000 -1000 -10 0.500000'
    assert kitti_results.lines(found(('Car', [100, 100.25, 200, 150], 0.5))) == [line]
    assert len(line.split()) == 16
    assert kitti_results.lines(found()) == []
