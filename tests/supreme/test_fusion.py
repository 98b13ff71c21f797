"""Laws and golden numbers of the Cardiac Fusion Network."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from ecgray.supreme.config import FusionConfig
from ecgray.supreme.fusion import FusionLayer, FusionNetwork

SMALL = FusionConfig(width=16, depth=3, heads=4, mlp=32, text_hidden=20, head_hidden=8)
TOKENS, TEXT = 12, 30


def fusion(*, dropout: float = 0.0, **changes: object) -> FusionNetwork:
    torch.manual_seed(0)
    config = dataclasses.replace(SMALL, **changes)  # type: ignore[arg-type]
    network = FusionNetwork(config, token_width=TOKENS, text_width=TEXT, dropout=dropout)
    for weight in network.parameters():  # N(0, 0.02) makes every answer nearly the same: too kind to a wrong one
        nn.init.normal_(weight, std=0.3)
    return network.eval()


def tokens_and_queries(*, batch: int = 2, queries: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, 7, TOKENS, generator=generator), torch.randn(queries, TEXT, generator=generator)


@pytest.mark.parametrize("among", ["full", "diagonal", "none"])
def test_permuting_queries_permutes_answers(among):
    tokens, queries = tokens_and_queries()
    network, order = fusion(query_self_attention=among), torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(network(tokens, queries[order]), network(tokens, queries)[:, order])


@pytest.mark.parametrize("among", ["diagonal", "none"])
def test_an_answer_does_not_depend_on_the_other_queries(among):
    tokens, queries = tokens_and_queries()
    network = fusion()
    together = network(tokens, queries, query_self_attention=among)
    alone = [network(tokens, query[None], query_self_attention=among) for query in queries]
    torch.testing.assert_close(torch.cat(alone, dim=1), together)


def test_with_full_self_attention_it_does():
    tokens, queries = tokens_and_queries()
    network = fusion()
    assert (network(tokens, queries[:1]) - network(tokens, queries)[:, :1]).abs().max() > 1e-4


def test_one_query_alone_is_answered_alike_by_full_and_diagonal():
    """Attention over a single key has weight 1."""
    tokens, queries = tokens_and_queries(queries=1)
    network = fusion()
    torch.testing.assert_close(
        network(tokens, queries, query_self_attention="full"), network(tokens, queries, query_self_attention="diagonal")
    )


@pytest.mark.parametrize("among", ["full", "diagonal"])
def test_layers_equal_torchs_pre_norm_decoder_layer(among):
    """App. A.2's decoder against an independent implementation; the text is expanded over the batch, as the paper says.

    `diagonal` is the same layer under a mask that hides every other query.
    """
    tokens, queries = tokens_and_queries()
    network = fusion()
    mask = None if among == "full" else ~torch.eye(len(queries), dtype=torch.bool)
    with torch.no_grad():
        memory = network.memory_norm(network.memory_projection(tokens))
        theirs = network.query_norm(network.text_projection(queries)).expand(len(tokens), -1, -1)
        for layer in network.layers:
            theirs = _torch_layer(layer)(theirs, memory, tgt_mask=mask)
        theirs = network.head(network.out_norm(theirs))[..., 0]
        ours = network(tokens, queries, query_self_attention=among)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def _torch_layer(layer: FusionLayer) -> nn.TransformerDecoderLayer:
    theirs = nn.TransformerDecoderLayer(16, 4, 32, dropout=0.0, batch_first=True, norm_first=True)
    weights = {}
    for part, attention in (("self_attn", layer.self_attention), ("multihead_attn", layer.cross_attention)):
        weights[f"{part}.in_proj_weight"] = torch.cat([attention.query.weight, attention.key_value.weight])
        weights[f"{part}.in_proj_bias"] = torch.cat([attention.query.bias, attention.key_value.bias])
        weights[f"{part}.out_proj.weight"], weights[f"{part}.out_proj.bias"] = attention.out.parameters()
    named = {
        "linear1": layer.mlp[0],
        "linear2": layer.mlp[3],
        "norm1": layer.self_norm,
        "norm2": layer.cross_norm,
        "norm3": layer.mlp_norm,
    }
    for name, module in named.items():
        weights[f"{name}.weight"], weights[f"{name}.bias"] = module.weight, module.bias
    theirs.load_state_dict(weights)
    return theirs.eval()


def test_the_text_projection_is_two_layers_with_relu():
    """Eq. 6, written out."""
    network, (_, queries) = fusion(), tokens_and_queries()
    first, _, second = network.text_projection
    by_hand = torch.relu(queries @ first.weight.T + first.bias) @ second.weight.T + second.bias
    torch.testing.assert_close(network.text_projection(queries), by_hand)


def test_all_linear_weights_start_from_a_normal_of_0_02():
    """App. A.2."""
    network = FusionNetwork(FusionConfig(), token_width=192, text_width=768, dropout=0.1)
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    assert len(linear) == 4 * 8 + 1 + 2 + 2
    weights = torch.cat([module.weight.flatten() for module in linear])
    assert weights.std().item() == pytest.approx(0.02, rel=0.01)
    assert all(module.bias.abs().max() == 0 for module in linear)


def test_peers_share_one_norm():
    network = fusion(shared_norm=True)
    assert network.memory_norm is network.query_norm is network.out_norm
    assert len({id(norm) for norm in (fusion().memory_norm, fusion().query_norm)}) == 2


def test_dropout_acts_in_training_only():
    tokens, queries = tokens_and_queries()
    network = fusion(dropout=0.5)
    torch.testing.assert_close(network(tokens, queries), fusion()(tokens, queries))
    network.train()
    assert (network(tokens, queries) - network(tokens, queries)).abs().max() > 1e-3


def test_a_head_of_no_hidden_layer_is_linear():
    assert isinstance(fusion(head_hidden=0).head, nn.Linear)
