"""Queries meet the ECG: the Cardiac Fusion Network (SuPreME section 3.2, Eq. 6, App. A.2).

A stack of pre-norm transformer decoder layers: the text queries are its targets, the ECG's tokens its memory, one logit
a query its output. Up to the first cross-attention nothing depends on the record, so that part runs once a batch; the
memory's keys and values do not depend on the queries, so they are made once a record.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ecgray.supreme.config import FusionConfig, QuerySelfAttention


class Attention(nn.Module):
    """Multi-head attention of queries over a memory, with dropout on its weights."""

    def __init__(self, config: FusionConfig, dropout: float) -> None:
        super().__init__()
        self.heads = config.heads
        self.dropout = dropout
        self.query = nn.Linear(config.width, config.width)
        self.key_value = nn.Linear(config.width, 2 * config.width)
        self.out = nn.Linear(config.width, config.width)

    def forward(
        self, queries: Float[Tensor, "batch query width"], memory: Float[Tensor, "records token width"]
    ) -> Float[Tensor, "records query width"]:
        """Mix the memory for each query; `queries` may come once for all records (batch 1)."""
        query = self._split(self.query(queries)).expand(len(memory), -1, -1, -1)  # a batch of one, or of all
        key, value = (self._split(part) for part in self.key_value(memory).chunk(2, dim=-1))
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        return self.out(mixed.transpose(1, 2).flatten(-2))

    def on_itself(self, queries: Float[Tensor, "batch query width"]) -> Float[Tensor, "batch query width"]:
        """Each query attends to itself alone: the weight is 1, what remains is the value's way through."""
        width = queries.shape[-1]
        value = F.linear(queries, self.key_value.weight[width:], self.key_value.bias[width:])
        return self.out(value)

    def _split(self, vectors: Float[Tensor, "batch token width"]) -> Float[Tensor, "batch head token part"]:
        return vectors.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class FusionLayer(nn.Module):
    """One pre-norm decoder layer: queries among themselves, queries on the ECG, feed-forward."""

    def __init__(self, config: FusionConfig, dropout: float) -> None:
        super().__init__()
        self.self_norm = nn.LayerNorm(config.width)
        self.self_attention = Attention(config, dropout)
        self.cross_norm = nn.LayerNorm(config.width)
        self.cross_attention = Attention(config, dropout)
        self.mlp_norm = nn.LayerNorm(config.width)
        self.mlp = nn.Sequential(
            nn.Linear(config.width, config.mlp), nn.ReLU(), nn.Dropout(dropout), nn.Linear(config.mlp, config.width)
        )
        self.drop = nn.Dropout(dropout)

    def forward(
        self,
        queries: Float[Tensor, "batch query width"],
        memory: Float[Tensor, "records token width"],
        among: QuerySelfAttention,
    ) -> Float[Tensor, "records query width"]:
        """Add what each of the three parts changes."""
        if among != "none":
            normed = self.self_norm(queries)
            seen = self.self_attention(normed, normed) if among == "full" else self.self_attention.on_itself(normed)
            queries = queries + self.drop(seen)
        queries = queries + self.drop(self.cross_attention(self.cross_norm(queries), memory))
        return queries + self.drop(self.mlp(self.mlp_norm(queries)))


class FusionNetwork(nn.Module):
    """Tokens of an ECG and text vectors in, one logit a query out."""

    def __init__(self, config: FusionConfig, *, token_width: int, text_width: int, dropout: float) -> None:
        super().__init__()
        self.config = config
        self.memory_projection = nn.Linear(token_width, config.width)
        self.text_projection = nn.Sequential(
            nn.Linear(text_width, config.text_hidden), nn.ReLU(), nn.Linear(config.text_hidden, config.width)
        )
        norms = [nn.LayerNorm(config.width)] * 3 if config.shared_norm else [nn.LayerNorm(config.width) for _ in "123"]
        self.memory_norm, self.query_norm, self.out_norm = norms
        self.layers = nn.ModuleList(FusionLayer(config, dropout) for _ in range(config.depth))
        self.head = _head(config)
        self.drop = nn.Dropout(dropout)
        self.apply(self._draw_weights)

    def _draw_weights(self, module: nn.Module) -> None:
        """All weights of linear layers and attention from N(0, 0.02) (App. A.2) or Xavier's, biases 0."""
        if isinstance(module, nn.Linear):
            if self.config.init_std > 0:
                nn.init.normal_(module.weight, std=self.config.init_std)
            else:
                nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)

    def forward(
        self,
        tokens: Float[Tensor, "batch token width"],
        queries: Float[Tensor, "query text"] | Float[Tensor, "batch query text"],
        *,
        query_self_attention: QuerySelfAttention | None = None,
    ) -> Float[Tensor, "batch query"]:
        """One logit a record and query; queries may be the same for all records, or each record's own."""
        among = query_self_attention or self.config.query_self_attention
        memory = self.memory_norm(self.memory_projection(tokens))  # (batch, token, width)
        fused = self.query_norm(self.text_projection(queries))  # (query, width) or (batch, query, width), Eq. 6
        fused = fused.unsqueeze(0) if fused.ndim == 2 else fused
        for layer in self.layers:
            fused = layer(fused, memory, among)  # (batch, query, width)
        return self.head(self.drop(self.out_norm(fused))).squeeze(-1)


def _head(config: FusionConfig) -> nn.Module:
    if config.head_hidden == 0:
        return nn.Linear(config.width, 1)
    return nn.Sequential(nn.Linear(config.width, config.head_hidden), nn.ReLU(), nn.Linear(config.head_hidden, 1))
