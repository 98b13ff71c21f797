"""The embedded model: a small Llama, so that any engine that serves Llama serves it."""

from __future__ import annotations

from typing import Any

from ecgray.ner.config import NerModelConfig


def build_model(config: NerModelConfig, tokenizer: Any) -> Any:
    """A Llama with first weights from torch's generator; its vocabulary is the tokenizer's."""
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=config.width,
            intermediate_size=config.feed_forward,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.heads,
            max_position_embeddings=config.max_tokens,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
