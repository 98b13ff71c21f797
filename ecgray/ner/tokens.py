"""The embedded model's tokenizer: a known word is one token, any other word is spelled.

So a word that the grammar never wrote looks like nothing that it did, and the model can say so. The JSON of an answer
is a few tokens, and each standard term's name is one, so that an answer is short and never names a term that is none. A
statement cannot hold the JSON's, nor that of a term of several words: the tokenizer parts text at words and signs.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ecgray.ner.strangers import known_words
from ecgray.ner.words import sites
from ecgray.text.entities import CERTAINTIES, Reading
from ecgray.text.terms import TERMS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, BEGIN, ANSWER, END = "<pad>", "<s>", "<answer>", "</s>"
SPECIAL = (PAD, BEGIN, ANSWER, END)
_PARTS = r" ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]|\s"
_OPEN = {
    (unknown, some): f'{{"unknown":{str(unknown).lower()},"entities":[' + ('{"cited":"' if some else "]}")
    for unknown in (False, True)
    for some in (False, True)
}
_NAME, _NEXT, _CLOSE = '","entity":"', ',{"cited":"', "]}"
_CERTAIN = {certainty: f'","certainty":"{certainty}"}}' for certainty in CERTAINTIES}
CHAT_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ '<s>' + message['content'] + '<answer>' }}{% endif %}{% endfor %}"
)
"""The system's words are left out: the model knows one task, and its prompt is in its weights."""


def build_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer of the present vocabulary and grammar."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(vocab=_vocabulary(), merges=[], ignore_merges=True, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PARTS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIAL))
    built = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[ANSWER],
        model_max_length=4096,
        clean_up_tokenization_spaces=False,
    )
    built.chat_template = CHAT_TEMPLATE
    return built


def _vocabulary() -> dict[str, int]:
    """Special tokens, bytes, words with and without a blank before them, terms, the JSON of an answer."""
    from tokenizers.pre_tokenizers import ByteLevel

    words = sorted({word for text in _known() for word in re.findall(r"[a-z]+", text)})
    structure = [*_OPEN.values(), _NAME, _NEXT, _CLOSE, *_CERTAIN.values()]
    plain = [*[f" {word}" for word in words], *(word for word in words if len(word) > 1), *structure, *TERMS]
    tokens = [*SPECIAL, *sorted(ByteLevel.alphabet()), *(text.replace(" ", "\u0120") for text in plain)]
    return {token: number for number, token in enumerate(dict.fromkeys(tokens))}


@functools.cache
def _known() -> frozenset[str]:
    return known_words() | {word for site in sites() for word in (site.name, site.adverb)} | {"avl", "avf", "avr"}


class AnswerTokens:
    """Answers as the model writes them: token ids."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._ids: dict[str, int] = tokenizer.get_vocab()
        self.begin, self.answer, self.end = (self._ids[token] for token in (BEGIN, ANSWER, END))

    def prompt(self, text: str) -> list[int]:
        """The statement between its marks, as the chat template and the engine put it."""
        return [self.begin, *self._encode(text), self.answer]

    def reading(self, reading: Reading) -> list[int]:
        """The answer's tokens; decoded they are `write_answer(reading)`."""
        entities = reading.entities
        ids = [self._one(_OPEN[reading.unknown, bool(entities)])]
        for place, each in enumerate(entities):
            ids += [self._one(_NEXT)] if place else []
            ids += [
                *self._encode(each.cited),
                self._one(_NAME),
                *self._name(each.name),
                self._one(_CERTAIN[each.certainty]),
            ]
        return [*ids, *([self._one(_CLOSE)] if entities else []), self.end]

    def _name(self, name: str) -> Sequence[int]:
        """One token where it is a term of the vocabulary that the model was built with, else words."""
        known = self._ids.get(name.replace(" ", "\u0120"))
        return [known] if known is not None else self._encode(name)

    def _one(self, text: str) -> int:
        return self._ids[text.replace(" ", "\u0120")]

    def _encode(self, text: str) -> list[int]:
        found: list[int] = self._tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        return found
