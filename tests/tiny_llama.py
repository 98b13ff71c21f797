"""A language model of random weights in a Hugging Face folder: real vLLM runs it, what it says means nothing."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

BEGIN, TURN, END = "<|begin|>", "<|turn|>", "<|end|>"
TEMPLATE = (
    BEGIN
    + "{% for m in messages %}"
    + TURN
    + "{{ m.role }}\n{{ m.content | trim }}"
    + END
    + "{% endfor %}{% if add_generation_prompt %}"
    + TURN
    + "assistant\n{% endif %}"
)


SHORT_TEMPLATE = TEMPLATE.replace("{% for m in messages %}", "{% for m in messages if m.role == 'user' %}")
"""Leaves the system's turn out."""


def tiny_llama(folder: Path, *, context: int = 8192, template: str = SHORT_TEMPLATE, mute: bool = True) -> Path:
    """Write the folder; returns it. A `mute` one has all logits equal, so that it always says that there is nothing."""
    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=[BEGIN, TURN, END], initial_alphabet=alphabet, show_progress=False
    )
    words.train_from_iterator(["sinus rhythm", "atrial fibrillation"], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, bos_token=BEGIN, eos_token=END, pad_token=END)
    tokenizer.add_special_tokens({"additional_special_tokens": [TURN]})
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=context,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=True,
        dtype="bfloat16",
    )
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    if mute:
        torch.nn.init.zeros_(model.model.norm.weight)
    model.save_pretrained(folder)
    return folder
