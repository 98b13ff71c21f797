"""The autoencoder and its beat decoder: shapes, exact leads, the latent's scale, and what may pass by it."""

from __future__ import annotations

import pytest
import torch
from drawn_beats import hearts
from test_vae_input import check_identities

from ecgray.sediff.blocks import Head
from ecgray.sediff.config import SIZES, VaeConfig, preset
from ecgray.sediff.input import to_grid
from ecgray.sediff.vae import LatentStatistics, Vae, parameter_count

SMALL = SIZES["debug"]
NAMED = {name: preset(name, SMALL) for name in ("ours", "paper", "peer")}
NAMED["resampled"] = VaeConfig(input="resampled", widths=SMALL.widths, blocks=1, beat=SMALL.beat)


def network(name: str = "ours") -> Vae:
    torch.manual_seed(0)
    return Vae(NAMED[name]).eval()


@pytest.mark.parametrize("name", list(NAMED))
@torch.no_grad()
def test_shapes_and_leads(name):
    vae = network(name)
    ecg, _ = hearts(2)
    grid = to_grid(ecg, vae.config)
    output = vae(grid)
    assert output.ecg.shape == grid.shape == (2, 12, 5000 if vae.config.input == "native" else 1024)
    assert output.mean.shape == output.logvar.shape == (2, 4, 128)
    latent = vae.encode(ecg)
    whole, beat = vae.decode(latent), vae.decode_beat(latent)
    assert torch.equal(whole, vae.reconstruct(ecg))
    assert (whole.shape, beat.shape) == ((2, 12, 5000), (2, 12, 300))
    if name in ("ours", "resampled"):
        for signal in (output.ecg, output.beat, whole, beat):
            check_identities(signal)


@torch.no_grad()
def test_the_head_leaves_no_comb():
    """Over features that stand still, five differing filters give one level, not a comb at 100 Hz."""
    torch.manual_seed(0)
    head = Head(8, 2, stride=5)
    written = head(torch.randn(3, 8, 1).expand(3, 8, 20))[..., 10:-10]
    assert written.std(dim=-1).max() < 1e-6
    assert head.convolution(torch.ones(1, 8, 20)).std(dim=1).min() > 1e-3


@torch.no_grad()
def test_the_paper_writes_leads_that_need_not_agree():
    with pytest.raises(AssertionError):
        check_identities(network("paper").decode(torch.randn(1, 4, 128)))


@pytest.mark.parametrize("name", list(NAMED))
def test_everything_that_is_written_passes_through_the_latent(name):
    """No skip connection: the same latent gives the same ECG, whatever was encoded; and every weight is used."""
    vae = network(name)
    ecg, _ = hearts(2)
    output = vae(to_grid(ecg, vae.config), generator=torch.Generator().manual_seed(0))
    (output.ecg.square().sum() + output.beat.square().sum() + output.logvar.sum()).backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in vae.parameters())
    with torch.no_grad():
        latent = vae.encode(ecg)
        vae.encode(torch.flip(ecg, (0,)))
        assert torch.equal(vae.decode(latent), vae.decode(latent.clone()))


@torch.no_grad()
def test_the_drawn_latent_has_the_posteriors_mean_and_deviation():
    vae = network()
    seen: list[torch.Tensor] = []
    vae.decoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    grid = to_grid(hearts(1)[0], vae.config)
    generator = torch.Generator().manual_seed(0)
    outputs = [vae(grid, generator=generator) for _ in range(300)]
    drawn = (torch.cat(seen) - outputs[0].mean) / (outputs[0].logvar / 2).exp()
    assert abs(drawn.mean().item()) < 0.01
    assert abs(drawn.std().item() - 1) < 0.01


@torch.no_grad()
def test_the_same_generator_draws_the_same():
    vae = network()
    grid = to_grid(hearts(1)[0], vae.config)
    first, second = (vae(grid, generator=torch.Generator().manual_seed(3)).ecg for _ in range(2))
    assert torch.equal(first, second)


@torch.no_grad()
def test_extreme_log_variances_are_clamped():
    vae = network()
    vae.encoder.layers[-1].weight.mul_(1e6)
    _, logvar = vae.encoder(torch.randn(2, 8, 1024))
    assert logvar.min() == -30
    assert logvar.max() == 20


@torch.no_grad()
def test_a_measured_scale_gives_unit_latents_and_the_same_ecg():
    vae = network()
    ecg, _ = hearts(6)
    before = vae.reconstruct(ecg)
    statistics = LatentStatistics()
    statistics.add(vae.encode(ecg))
    vae.set_latent_scale(statistics)
    latent = vae.encode(ecg)
    assert latent.mean(dim=(0, 2)).abs().max() < 1e-4
    assert latent.square().mean().sqrt().item() == pytest.approx(1.0, abs=1e-4)
    torch.testing.assert_close(vae.decode(latent), before, atol=1e-4, rtol=1e-3)


@torch.no_grad()
def test_the_peers_scale_stays():
    vae = network("peer")
    ecg, _ = hearts(1)
    statistics = LatentStatistics()
    statistics.add(vae.encode(ecg) * 3)
    vae.set_latent_scale(statistics)
    mean, _ = vae.encoder(to_grid(ecg, vae.config))
    torch.testing.assert_close(vae.encode(ecg), mean * 0.18215)


def test_statistics_of_two_workers_add_up():
    latents = torch.randn(10, 4, 128, generator=torch.Generator().manual_seed(0)) * 3 + 5
    whole, first, second, idle = (LatentStatistics() for _ in range(4))
    whole.add(latents)
    first.add(latents[:3])
    second.add(latents[3:])
    idle.merge(first)
    idle.merge(second)
    idle.merge(LatentStatistics())
    torch.testing.assert_close(idle.mean, whole.mean)
    torch.testing.assert_close(idle.std, whole.std)
    centred = latents.double() - latents.double().mean(dim=(0, 2), keepdim=True)
    torch.testing.assert_close(whole.std, centred.square().mean().sqrt())


@torch.no_grad()
def test_the_beat_decoder_follows_the_r_peak():
    """What it writes depends on the steps that it points at, wherever they stand."""
    decoder = network().beat_decoder
    latent = torch.randn(1, 4, 128)
    decoder.place[20] = 1000.0
    here = decoder(latent)
    decoder.place[20], decoder.place[50] = 0.0, 1000.0
    there = decoder(torch.roll(latent, 30, dims=-1))
    assert not torch.allclose(decoder(latent), here, atol=1e-3)
    # Group norms see the whole record and the ends differ, hence no equality to the last bit.
    torch.testing.assert_close(there, here, atol=0.02, rtol=0)


@torch.no_grad()
def test_flat_and_enormous_records_give_numbers():
    vae = network()
    ecg = torch.stack([torch.zeros(12, 5000), torch.full((12, 5000), 20.0), torch.full((12, 5000), torch.nan)])
    assert vae.reconstruct(ecg).isfinite().all()
    assert vae.decode_beat(vae.encode(ecg)).isfinite().all()


def test_the_default_has_the_peers_size():
    counts = {name: parameter_count(Vae(config)) for name, config in SIZES.items()}
    print(counts)
    assert 20e6 < counts["full"] < 35e6
    assert counts["debug"] < counts["laptop"] < 1.2e6
