"""SuPreME: an ECG and text queries in, one logit a query out (Eq. 4 before its sigmoid)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from ecgray.supreme.config import QuerySelfAttention, SupremeConfig
from ecgray.supreme.encoder import EcgEncoder
from ecgray.supreme.fusion import FusionNetwork


class Supreme(nn.Module):
    """The whole network. The text encoder is frozen and stands outside: queries come as its vectors.

    >>> import torch
    >>> from ecgray.supreme.config import SIZES
    >>> model = Supreme(SIZES["debug"]).eval()
    >>> model(torch.zeros(2, 12, 5000), torch.randn(3, 768)).shape
    torch.Size([2, 3])
    """

    def __init__(self, config: SupremeConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = EcgEncoder(config.encoder, drop_path=config.dropout)
        self.fusion = FusionNetwork(
            config.fusion,
            token_width=config.encoder.width,
            text_width=config.text_width,
            dropout=config.dropout,
        )

    def forward(
        self,
        ecg: Float[Tensor, "batch lead=12 time"],
        queries: Float[Tensor, "query text"] | Float[Tensor, "batch query text"],
        *,
        query_self_attention: QuerySelfAttention | None = None,
    ) -> Float[Tensor, "batch query"]:
        """One logit a record and query; queries may be the same for all records, or each record's own."""
        return self.fuse(self.encode_ecg(ecg), queries, query_self_attention=query_self_attention)

    def encode_ecg(self, ecg: Float[Tensor, "batch lead=12 time"]) -> Float[Tensor, "batch token width"]:
        """The ECG's tokens: what does not depend on the queries."""
        return self.encoder(ecg)

    def fuse(
        self,
        tokens: Float[Tensor, "batch token width"],
        queries: Float[Tensor, "query text"] | Float[Tensor, "batch query text"],
        *,
        query_self_attention: QuerySelfAttention | None = None,
    ) -> Float[Tensor, "batch query"]:
        """One logit a record and query. With diagonal or none an answer does not depend on the other queries."""
        return self.fusion(tokens, queries, query_self_attention=query_self_attention)
