"""The adversarial losses recipes choose from; logits in, a scalar out, all in float32."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from tasks.train.recipe import Run

Adversarial = Literal["wgan", "hinge", "bce", "lsgan"]
# steps from one r1_penalty to the next, which then counts as often: nearly its whole good for less of its price
# (Karras et al. 2020, arXiv:1912.04958, section 3.1)
R1_EVERY = 4


def critic_loss(kind: Adversarial, real: Tensor, fake: Tensor) -> Tensor:
    """What the critic minimises, from its logits of real and painted pictures.

    wgan: the negative Kantorovich-Rubinstein difference (Arjovsky et al. 2017), sound where the critic is
    1-Lipschitz; hinge: Lim and Ye 2017; bce: Goodfellow et al. 2014, the mean of both cross-entropies; lsgan: Mao et
    al. 2017, the mean of both squared distances, of real ones from 1 and of painted ones from 0.
    """
    match kind:
        case "wgan":
            return fake.mean() - real.mean()
        case "hinge":
            return relu(1 - real).mean() + relu(1 + fake).mean()
        case "bce":
            return (softplus(-real).mean() + softplus(fake).mean()) / 2
        case "lsgan":
            return ((real - 1).square().mean() + fake.square().mean()) / 2


def generator_loss(kind: Adversarial, fake: Tensor) -> Tensor:
    """What the generator minimises, from the critic's logits of what it painted; bce in its non-saturating form."""
    match kind:
        case "wgan" | "hinge":
            return -fake.mean()
        case "bce":
            return softplus(-fake).mean()
        case "lsgan":
            return (fake - 1).square().mean()


def r1_penalty(run: Run, critic: nn.Module, real: Tensor) -> Tensor:
    """Half the mean squared length of the gradient of a picture's mean logit, at real pictures [B,3,H,W].

    A critic that is level there lets the two networks settle instead of circling (Mescheder et al. 2018, Which Training
    Methods for GANs do actually Converge?, arXiv:1801.04406, section 4.1).
    """
    at = real.detach().requires_grad_()
    logits = run(critic, at, twice=True).flatten(1).mean(dim=1)
    (slope,) = torch.autograd.grad(logits.sum(), at, create_graph=True)
    return slope.square().sum(dim=(1, 2, 3)).mean() / 2


def slope_penalty(run: Run, critic: nn.Module, real: Tensor, painted: Tensor) -> Tensor:
    """Mean (|gradient of the critic| - 1)^2 at pictures [B,3,H,W] between real and painted ones, in float32.

    Gulrajani et al. 2017, Improved Training of Wasserstein GANs, arXiv:1704.00028, section 4.
    """
    mixed = torch.lerp(real, painted, torch.rand(len(real), 1, 1, 1, device=real.device)).requires_grad_()
    (gradient,) = torch.autograd.grad(run(critic, mixed, twice=True).sum(), mixed, create_graph=True)
    return ((gradient.flatten(1).square().sum(dim=1) + 1e-12).sqrt() - 1).square().mean()
