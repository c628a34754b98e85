"""Measures of what a network makes as a whole: diversity, repeats, copies, kernel distance, on sets that are known."""

import itertools

import pytest
import torch
from skimage.metrics import structural_similarity
from torch import Tensor
from torch.nn import functional
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure
from torchmetrics.image.kid import poly_mmd

from tasks.measures.diversity import ms_ssim, scale_weights, similarity
from tasks.measures.kernel import kernel_distance, polynomial_mmd, random_features, rkid
from tasks.measures.memory import copies, duplicates, nearest, threshold_of
from tests.test_measures import blurred, scenes


def noisy(pictures: Tensor, levels: float = 4, seed: int = 9) -> Tensor:
    noise = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(seed)) * levels
    return (pictures.float() + noise).round().clamp(0, 255).to(torch.uint8)


def hue_shifted(pictures: Tensor) -> Tensor:
    return pictures.roll(1, -1)


@pytest.mark.parametrize(("side", "scales"), [(64, 3), (100, 4), (176, 5)])
def test_similarity_agrees_with_torchmetrics(side: int, scales: int) -> None:
    weights = scale_weights(side)
    assert len(weights) == scales
    assert sum(weights) == pytest.approx(1)
    left = scenes(3, 64)[:, :, :, :].permute(0, 3, 1, 2).float()
    left = functional.interpolate(left, size=side, mode="bilinear")
    right = (left + 20 * torch.randn(left.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 255)
    expected = multiscale_structural_similarity_index_measure(
        right, left, data_range=255.0, betas=weights, normalize="relu", reduction="none", sigma=1.5
    )
    # Not equal: at the coarsest scale torchmetrics also counts windows that reach over the border.
    torch.testing.assert_close(similarity(left, right), expected, atol=5e-3, rtol=0)


def test_similarity_at_one_scale_is_that_of_scikit_image() -> None:
    left = scenes(3, 64)[:, 20:40, 10:30]
    right = noisy(left, 15)
    expected = [
        structural_similarity(
            a.numpy(), b.numpy(), data_range=255, gaussian_weights=True, use_sample_covariance=False, channel_axis=2
        )
        for a, b in zip(left, right, strict=True)
    ]
    found = similarity(left.permute(0, 3, 1, 2).float(), right.permute(0, 3, 1, 2).float())
    assert found.tolist() == pytest.approx(expected, abs=1e-5)


def test_a_collapsed_set_is_alike_and_a_varied_one_is_not() -> None:
    varied = scenes(40)
    assert ms_ssim(varied[:1].expand(5, -1, -1, -1)) == pytest.approx(1)
    assert ms_ssim(noisy(varied[:4].repeat(10, 1, 1, 1))) > ms_ssim(varied) + 0.1
    assert ms_ssim(varied, pairs=100, seed=1) == pytest.approx(ms_ssim(varied), abs=0.05)
    assert ms_ssim(varied, pairs=100, seed=1) == ms_ssim(varied, pairs=100, seed=1)


def test_kernel_distance_agrees_with_torchmetrics() -> None:
    generator = torch.Generator().manual_seed(0)
    left, right = torch.randn(30, 12, generator=generator), torch.rand(30, 12, generator=generator)
    assert polynomial_mmd(left, right) == pytest.approx(poly_mmd(left.double(), right.double()).item(), rel=1e-6)


def test_kernel_distance_is_unbiased_and_takes_unequal_sets() -> None:
    generator = torch.Generator().manual_seed(1)
    same = [
        polynomial_mmd(torch.randn(20, 4, generator=generator), torch.randn(15, 4, generator=generator))
        for _ in range(200)
    ]
    mean = sum(same) / len(same)
    assert abs(mean) < 0.05
    assert min(same) < 0


def test_kernel_distance_of_many_rows_is_taken_over_subsets() -> None:
    generator = torch.Generator().manual_seed(2)
    left, right = torch.randn(900, 6, generator=generator), torch.randn(700, 6, generator=generator) + 0.3
    assert kernel_distance(left, right) == pytest.approx(polynomial_mmd(left, right), rel=0.2)
    assert kernel_distance(left, right, seed=3) == kernel_distance(left, right, seed=3)


def test_random_features_see_hue_and_blur() -> None:
    real, more = scenes(48), scenes(48, seed=1)
    floor = abs(rkid(real, more))
    assert random_features(real[:2]).shape == (2, 960)
    warmer = more.clone()
    warmer[..., 0] = warmer[..., 0].clamp(max=195) + 60
    assert rkid(real, warmer) > 5 * floor
    assert rkid(real, blurred(noisy(more, 40))) > floor


def test_a_collapsed_set_is_all_duplicates_and_no_copies() -> None:
    known, fresh = scenes(60), scenes(40, seed=1)
    collapsed = noisy(fresh[:4].repeat(10, 1, 1, 1))
    assert duplicates(collapsed, known) == 1
    assert copies(collapsed, known) == 0
    assert duplicates(fresh, known) < 0.1


def test_how_many_pictures_are_looked_at_does_not_decide() -> None:
    reals, fresh = scenes(400, 32), scenes(384, 32, seed=1)
    assert max(duplicates(fresh[:num], reals) for num in (128, 256, 384)) < 0.04
    some_twice = torch.cat((fresh, noisy(fresh[:128])))  # half of them have a twin, a fourth of the time chosen
    assert [duplicates(some_twice, reals[:known]) for known in (200, 400)] == pytest.approx([0.125] * 2, abs=0.04)


def test_repeats_are_the_mean_over_all_choices_of_as_many() -> None:
    made, reals = torch.cat((scenes(6, 32), noisy(scenes(3, 32)))), scenes(5, 32, seed=2)
    choices = [duplicates(made[list(chosen)], reals) for chosen in itertools.combinations(range(9), 5)]
    assert duplicates(made, reals) == pytest.approx(sum(choices) / len(choices))
    assert 0.1 < duplicates(made, reals) < 0.9


def test_training_pictures_with_noise_are_all_copies_and_no_duplicates() -> None:
    known = scenes(60)
    assert copies(noisy(known), known) == 1
    assert copies(scenes(40, seed=1), known) < 0.1
    assert duplicates(noisy(known), known) < 0.1


def test_a_shift_of_hue_or_light_makes_no_pictures_alike() -> None:
    known, fresh = scenes(60), scenes(40, seed=1)
    darker = (fresh.float() * 0.3).to(torch.uint8)
    tinted = (fresh.float() * torch.tensor([1.0, 0.8, 0.6])).to(torch.uint8)
    for changed in (darker, tinted, hue_shifted(fresh)):
        assert duplicates(changed, known) < 0.1
        assert copies(changed, known) < 0.1


def test_reals_that_hold_a_picture_twice_do_not_blind_the_threshold() -> None:
    known = scenes(20).repeat(2, 1, 1, 1)
    assert threshold_of(known) == 0.05
    assert copies(noisy(known[:5], 2), known) == 1


def test_pictures_of_one_colour_are_duplicates() -> None:
    grey = torch.full((6, 32, 32, 3), 90, dtype=torch.uint8)
    assert duplicates(grey, scenes(20, 32)) == 1


def test_nearest_leaves_a_row_itself_out_also_in_chunks() -> None:
    rows = torch.randn(2100, 3, generator=torch.Generator().manual_seed(4))
    found = nearest(rows, rows, itself=False)
    distances = torch.cdist(rows, rows).fill_diagonal_(torch.inf).amin(dim=1)
    torch.testing.assert_close(found, distances, atol=1e-3, rtol=0)
    picked = torch.tensor([7, 3])
    torch.testing.assert_close(
        nearest(rows[picked], rows, itself=False, rows=picked), distances[picked], atol=1e-3, rtol=0
    )
