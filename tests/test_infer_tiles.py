"""The plan covers every pixel once, keeps the halo, and starts on the stride."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.infer.probe import Reach
from tasks.infer.tiles import cut, padded, plan_tiles


@given(
    side=st.integers(1, 5000),
    stride=st.sampled_from([1, 2, 3, 4, 8, 32]),
    radius=st.integers(0, 200),
    tile=st.integers(1, 2048),
)
def test_every_pixel_is_painted_once_far_enough_from_a_false_border(
    side: int, stride: int, radius: int, tile: int
) -> None:
    side, halo = padded(side, stride), -(-radius // stride) * stride
    spans = cut(side, stride, halo, tile)
    assert [0, *(span.core_stop for span in spans)] == [*(span.core_start for span in spans), side]
    assert len({span.stop - span.start for span in spans}) == 1
    for span in spans:
        assert span.start % stride == 0
        assert 0 <= span.start <= span.core_start < span.core_stop <= span.stop <= side
        assert span.start == 0 or span.core_start - span.start >= radius
        assert span.stop == side or span.stop - span.core_stop >= radius


@given(side=st.integers(2000, 30000), tile=st.integers(300, 4096))
def test_tiles_are_no_larger_than_asked(side: int, tile: int) -> None:
    spans = cut(padded(side, 4), 4, 60, tile)
    assert spans[0].stop - spans[0].start <= tile


def test_the_large_print_costs_little_more_than_its_pixels() -> None:
    resnet_6 = Reach(stride=4, halo=60)
    assert plan_tiles(12992, 22205, reach=resnet_6, tile=1024).compute <= 1.30
    assert plan_tiles(12992, 22205, reach=resnet_6, tile=2048).compute <= 1.14


def test_the_smallest_picture_is_one_tile() -> None:
    plan = plan_tiles(1, 1, reach=Reach(32, 93), tile=256)
    assert plan.num_tiles == 1
    assert (plan.padded_height, plan.padded_width) == (64, 64)


def test_a_single_tile_is_measured_with_its_mirrored_frame() -> None:
    far = Reach(8, 2000)
    assert plan_tiles(3000, 3000, reach=far, tile=1024, most=4000).exact
    assert plan_tiles(3000, 3000, reach=far, tile=1024, most=7000, mirror=True).exact
    framed = plan_tiles(3000, 3000, reach=far, tile=1024, most=4000, mirror=True)
    assert not framed.exact
    assert max(framed.tile_height, framed.tile_width) <= 1024


@pytest.mark.parametrize(("height", "width", "tile"), [(300, 411, 128), (64, 64, 512), (1, 1000, 256)])
def test_a_mirrored_frame_is_painted_and_not_kept(height: int, width: int, tile: int) -> None:
    plan = plan_tiles(height, width, reach=Reach(4, 20), tile=tile, mirror=True)
    for spans, side in ((plan.rows, plan.padded_height), (plan.columns, plan.padded_width)):
        assert [0, *(span.core_stop for span in spans)] == [*(span.core_start for span in spans), side]
        for span in spans:
            assert span.core_start - span.start >= 20
            assert span.stop - span.core_stop >= 20
            assert span.start % 4 == 0
