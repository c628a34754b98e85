"""Measures say what they claim, against formulas, against other libraries, and on sets whose answer is known."""

import time

import numpy as np
import pytest
import torch
from skimage import color
from torch import Tensor

from tasks.measures.content import match, retrieval
from tasks.measures.palette import from_lab, palette, recoloured, to_lab
from tasks.measures.pictures import to_bytes, to_float
from tasks.measures.slices import sliced_distance
from tasks.measures.swd import doubled, laplacian, swd, swd_by_level


def scenes(num: int, side: int = 64, seed: int = 0) -> Tensor:
    """Smooth random pictures with a few edges, all different: uint8 [num, side, side, 3]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(num, 3, 5, 5, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=side, mode="bicubic", align_corners=False)
    fine = torch.rand(num, 3, side, side, generator=generator)
    edges = (torch.rand(num, 1, 4, 4, generator=generator) > 0.7).float().repeat_interleave(side // 4, 2)
    edges = edges.repeat_interleave(side // 4, 3)
    return to_bytes((smooth * 1.6 + fine * 0.1 - 0.4 * edges - 0.8).clamp(-1, 1))


def blurred(pictures: Tensor) -> Tensor:
    return to_bytes(torch.nn.functional.avg_pool2d(to_float(pictures), 5, 1, 2, count_include_pad=False))


def test_bytes_become_floats_and_the_same_bytes_again() -> None:
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).expand(1, 16, 16, 3)
    images = to_float(levels)
    assert images.shape == (1, 3, 16, 16)
    assert images.min() == -1
    assert images.max() == 1
    assert torch.equal(to_bytes(images), levels)


def test_laplacian_levels_go_from_the_picture_to_16_pixels_and_add_up_to_it() -> None:
    pictures = scenes(2, 64)
    levels = list(laplacian(pictures))
    assert [level.shape[-1] for level in levels] == [64, 32, 16]
    whole = levels[-1]
    for level in reversed(levels[:-1]):
        whole = level + doubled(whole, level.shape[2:])
    torch.testing.assert_close(whole, pictures.permute(0, 3, 1, 2).float(), atol=1e-3, rtol=0)


def test_laplacian_takes_odd_sides() -> None:
    assert [tuple(level.shape[-2:]) for level in laplacian(scenes(1, 64)[:, :39, :50])] == [(39, 50), (20, 25)]


def test_sliced_distance_of_a_shifted_cloud_is_half_the_shift() -> None:
    cloud = torch.randn(500, 3, generator=torch.Generator().manual_seed(1))
    shift = torch.tensor([3.0, 4.0, 0.0])
    found = sliced_distance(cloud, cloud + shift, directions=4000, generator=torch.Generator().manual_seed(2))
    assert found == pytest.approx(2.5, rel=0.03)


def test_sliced_distance_is_the_mean_earth_movers_distance_along_its_lines() -> None:
    from scipy.stats import wasserstein_distance

    generator = torch.Generator().manual_seed(3)
    left, right = torch.randn(80, 5, generator=generator), torch.rand(80, 5, generator=generator)
    found = sliced_distance(left, right, directions=7, generator=torch.Generator().manual_seed(4))
    lines = torch.nn.functional.normalize(torch.randn(7, 5, generator=torch.Generator().manual_seed(4)))
    expected = np.mean([wasserstein_distance((left @ line).numpy(), (right @ line).numpy()) for line in lines])
    assert found == pytest.approx(float(expected), rel=1e-5)


def test_swd_is_zero_to_itself_small_to_its_kind_and_large_to_blurred() -> None:
    real, more = scenes(48), scenes(48, seed=1)
    assert swd(real, real) == 0
    floor = swd(real, more)
    assert swd(real, blurred(more)) > 2 * floor
    by_level = swd_by_level(real, blurred(more))
    assert list(by_level) == [64, 32, 16]
    assert by_level[64] > by_level[16]


def test_swd_repeats_by_seed_and_moves_little_between_seeds() -> None:
    left, right = scenes(32), blurred(scenes(32, seed=1))
    assert swd(left, right, seed=5) == swd(left, right, seed=5)
    assert swd(left, right, seed=5) == pytest.approx(swd(left, right, seed=6), rel=0.1)


def test_swd_takes_sets_of_unequal_and_tiny_size_and_flat_pictures() -> None:
    assert 0 < swd(scenes(9), scenes(2, seed=1)) < 1000
    assert np.isfinite(swd(torch.full((1, 32, 32, 3), 7, dtype=torch.uint8), scenes(2, 32)))


def test_swd_of_a_hundred_small_pictures_takes_well_under_three_seconds() -> None:
    left, right = scenes(100), scenes(100, seed=1)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    began = time.process_time()
    swd(left, right)
    took = time.process_time() - began
    torch.set_num_threads(threads)
    assert took < 2.5


def test_lab_agrees_with_scikit_image_both_ways() -> None:
    levels = torch.tensor([0, 1, 9, 10, 11, 60, 128, 200, 254, 255], dtype=torch.uint8)
    rgb = torch.cartesian_prod(levels, levels, levels)
    lab = to_lab(rgb)
    expected = color.rgb2lab(rgb.numpy()[None])[0]
    np.testing.assert_allclose(lab.numpy(), expected, atol=0.02)
    assert torch.equal(from_lab(lab), rgb)


def test_palette_sees_colour_and_not_place() -> None:
    real = scenes(32)
    shuffled = real.flip(1).flip(2)
    warmer = real.clone()
    warmer[..., 0] = warmer[..., 0].clamp(max=215) + 40
    assert palette(real, real) == 0
    assert palette(real, shuffled) < 0.5
    assert palette(real, warmer) > 4


def test_recoloured_photos_have_the_prints_mean_and_deviation() -> None:
    # Soft colours, so that nothing is clipped on the way back.
    photos = (scenes(4).float() * 0.2 + 100).to(torch.uint8)
    prints = (scenes(6, seed=1).float() * 0.15 + torch.tensor([90.0, 110.0, 120.0])).to(torch.uint8)
    lab, target = to_lab(recoloured(photos, prints)), to_lab(prints).flatten(0, 2)
    for picture in lab.flatten(1, 2):
        torch.testing.assert_close(picture.mean(0), target.mean(0), atol=0.3, rtol=0)
        torch.testing.assert_close(picture.std(0), target.std(0), atol=0.3, rtol=0)


def test_retrieval_finds_paintings_of_their_photo_and_no_others() -> None:
    photos = scenes(20)
    painted = to_bytes(to_float(blurred(photos)) * 0.5 + 0.2)  # softer, paler, brighter: another style
    kept = retrieval(photos, painted)
    assert kept.luminance == 1
    assert kept.edges > 0.8
    swapped = retrieval(photos, painted.roll(1, 0))
    assert swapped.luminance == 0
    assert swapped.edges < 0.2


def test_forgetting_the_photo_retrieves_nothing() -> None:
    photos = scenes(20)
    one = photos[:1].expand(20, -1, -1, -1)
    assert retrieval(photos, one).luminance <= 0.051
    assert match(one, photos) <= 0.051
    grey = torch.full_like(photos, 128)
    assert retrieval(grey, grey).luminance == 0


def test_match_counts_paintings_nearest_to_their_own_answer() -> None:
    answers = scenes(10)
    assert match(blurred(answers), answers) == 1
    half = torch.cat([answers[:5], answers[5:].roll(1, 0)])
    assert match(half, answers) == 0.5
