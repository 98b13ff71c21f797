"""Laws and golden numbers of the ECG encoder."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from ecgray.errors import ConfigError
from ecgray.supreme.config import EncoderConfig
from ecgray.supreme.encoder import DropPath, EcgEncoder, patchify, unpatchify

SMALL = EncoderConfig(width=24, depth=2, heads=3, mlp=48)


def encoder(**changes: object) -> EcgEncoder:
    torch.manual_seed(0)
    return EcgEncoder(dataclasses.replace(SMALL, **changes), drop_path=0.0).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("tokens", ["lead", "flat"])
def test_an_ecg_becomes_as_many_tokens_as_the_settings_say(tokens):
    network = encoder(tokens=tokens)
    assert network(torch.randn(2, 12, 5000)).shape == (2, network.config.token_count, 24)
    assert network.config.token_count == (480 if tokens == "lead" else 40)


def test_the_paper_is_vit_tiny():
    """5.4 million weights in the blocks: width 192, depth 12, MLP 768 (SuPreME section 4.1)."""
    network = EcgEncoder(EncoderConfig(), drop_path=0.1)
    per_block = 192 * 3 * 193 + 192 * 193 + 768 * 193 + 192 * 769 + 4 * 192
    stem_and_embeddings = 126 * 192 + 40 * 192 + 12 * 192 + 2 * 192
    assert sum(weight.numel() for weight in network.parameters()) == 12 * per_block + stem_and_embeddings


def test_patchify_and_back():
    ecg = torch.randn(3, 12, 5000)
    assert torch.equal(unpatchify(patchify(ecg, 125)), ecg)
    assert torch.equal(patchify(ecg, 125)[1, 2, 3], ecg[1, 2, 375:500])


def test_a_flat_token_reads_all_leads_of_its_patch_and_nothing_else():
    """Eq. 1: token j is the projection of x_p flattened, leads outermost."""
    network = encoder(tokens="flat")
    ecg = torch.randn(2, 12, 5000)
    by_hand = ecg[:, :, 250:375].reshape(2, 1500) @ network.stem.projection.weight.T + network.stem.projection.bias
    torch.testing.assert_close(network.stem(ecg)[:, 0, 2], by_hand)


def test_a_lead_token_is_projection_plus_lead_plus_position():
    """Eq. 2, tokens in the order (1,1) ... (1,N) ... (L,N)."""
    network = encoder(depth=0)
    ecg = torch.randn(2, 12, 5000)
    lead, position = 7, 5
    patch = ecg[:, lead, position * 125 : (position + 1) * 125]
    by_hand = network.stem.projection(patch) + network.lead[lead, 0] + network.position[position]
    torch.testing.assert_close(network(ecg)[:, lead * 40 + position], network.norm(by_hand))


def test_the_lead_embedding_tells_leads_apart():
    """Without it two leads that swap their signals swap their tokens and nothing else."""
    network = encoder()
    ecg = torch.randn(1, 12, 5000)
    swapped = ecg[:, [1, 0, *range(2, 12)]]

    def unswapped(tokens: torch.Tensor) -> torch.Tensor:
        return tokens.unflatten(1, (12, 40))[:, [1, 0, *range(2, 12)]].flatten(1, 2)

    with torch.no_grad():
        assert (unswapped(network(swapped)) - network(ecg)).abs().max() > 1e-3
        network.lead.zero_()
        torch.testing.assert_close(unswapped(network(swapped)), network(ecg))
    assert encoder(tokens="flat").lead is None


@pytest.mark.parametrize("tokens", ["lead", "flat"])
def test_blocks_equal_torchs_pre_norm_encoder_layer(tokens):
    """Eq. 5 against an independent implementation with the same weights."""
    network = encoder(tokens=tokens)
    ecg = torch.randn(2, 12, 5000)
    with torch.no_grad():
        theirs = network.stem(ecg) + network.position + (0 if network.lead is None else network.lead)
        theirs = theirs.flatten(1, 2)
        for block in network.blocks:
            theirs = _torch_layer(block)(theirs)
        torch.testing.assert_close(network(ecg), network.norm(theirs), atol=1e-5, rtol=1e-5)


def _torch_layer(block: nn.Module) -> nn.TransformerEncoderLayer:
    layer = nn.TransformerEncoderLayer(24, 3, 48, dropout=0.0, activation="gelu", batch_first=True, norm_first=True)
    layer.load_state_dict(
        {
            "self_attn.in_proj_weight": block.attention.qkv.weight,
            "self_attn.in_proj_bias": block.attention.qkv.bias,
            "self_attn.out_proj.weight": block.attention.out.weight,
            "self_attn.out_proj.bias": block.attention.out.bias,
            "linear1.weight": block.mlp[0].weight,
            "linear1.bias": block.mlp[0].bias,
            "linear2.weight": block.mlp[2].weight,
            "linear2.bias": block.mlp[2].bias,
            "norm1.weight": block.attention_norm.weight,
            "norm1.bias": block.attention_norm.bias,
            "norm2.weight": block.mlp_norm.weight,
            "norm2.bias": block.mlp_norm.bias,
        }
    )
    return layer.eval()


def test_drop_path_drops_records_whole_and_keeps_the_expectation():
    torch.manual_seed(0)
    drop = DropPath(0.3)
    dropped = drop(torch.ones(20000, 2, 3))
    assert dropped.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert torch.equal(dropped.amin(dim=(1, 2)), dropped.amax(dim=(1, 2)))
    assert dropped.mean().item() == pytest.approx(1, abs=0.02)
    assert torch.equal(drop.eval()(torch.ones(4, 2, 3)), torch.ones(4, 2, 3))


def test_drop_path_rises_linearly_with_depth():
    network = EcgEncoder(dataclasses.replace(SMALL, depth=5), drop_path=0.2)
    assert [block.drop.rate for block in network.blocks] == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])


def test_a_patch_that_does_not_divide_is_refused():
    with pytest.raises(ConfigError, match="patch=130 must divide samples=5000"):
        EncoderConfig(patch=130)
    with pytest.raises(ConfigError, match="heads=5 and width=192"):
        EncoderConfig(heads=5)
