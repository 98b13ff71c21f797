"""The language model engine: vLLM in the process that asks it, on the CPU or on GPUs.

The text of a report is data. It is tokenised alone, with the marks of the model's chat format taken as plain letters,
and set between the tokens of the prompt; nothing that a report says can end its turn or begin another one.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from ecgray.errors import ClusterError, ConfigError
from ecgray.settings import fingerprint
from ecgray.text.model_folder import model_hash
from ecgray.text.prompt import Prompt

_LEAST_ROOM = 16
"""Tokens that must be left for an answer."""
_SLOT = "the ecgray statement 60f1b2 stands here"


@dataclass(frozen=True)
class Said:
    """What became of one text: an answer, or the code of a failure."""

    answer: str | None = None
    code: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    cut: bool = False
    """The answer ran into the limit of its tokens."""


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """How an engine is started."""

    model: Path
    """A Hugging Face folder."""
    gpu: bool = False
    tensor_parallel: int = 1
    """GPUs that one engine spreads over."""
    max_model_len: int | None = None
    """Tokens of prompt and answer together; the model's own limit where None."""
    max_num_seqs: int = 256
    """Texts that are answered side by side."""
    kv_cache_mb: int = 256
    """Memory for attention's keys and values, on the CPU."""
    gpu_memory_share: float = 0.92
    """Part of a GPU's memory that the engine takes."""


class Engine(Protocol):
    """What answers. A new engine is made as `Class(settings)` and raises where it cannot start."""

    def ask(self, texts: Sequence[str], prompt: Prompt, attempt: int) -> list[Said]:
        """One `Said` a text, in their order. Attempt 0 is greedy, attempt 1 draws and has twice the tokens."""
        ...


def engine_class(name: str) -> Any:
    """The class of an engine of one's own: `module:Class` or `FILE.py:Class`.

    Raises `ConfigError` where there is none of that name.
    """
    module, _, attribute = name.rpartition(":")
    try:
        return getattr(_module(module), attribute)
    except Exception as error:  # its module runs as it is imported, and may raise anything
        raise ConfigError(
            f"engine {name!r} cannot be imported ({type(error).__name__}); it is vllm, or module:Class or "
            "FILE.py:Class of a class like ecgray's Engine."
        ) from None


def answers_hash(folder: Path, engine: str) -> str:
    """What a cache knows answers by: the model's files, and the engine where it is one of one's own."""
    files = model_hash(folder)
    return files if engine == "vllm" else fingerprint(files, engine)


def make_engine(name: str, settings: EngineSettings) -> Engine:
    """The engine of this name: `vllm`, or `module:Class` or `FILE.py:Class` of one's own.

    Raises `ConfigError` where there is none of that name, `ClusterError` where it does not start.
    """
    kind = VllmEngine if name == "vllm" else engine_class(name)
    try:
        engine: Engine = kind(settings)
    except (ConfigError, ClusterError):
        raise
    except Exception as error:
        raise ClusterError(
            f"the engine {name} does not start with {settings.model} ({_first_line(error)}); it takes a Hugging Face "
            "folder of a causal language model, and memory for it."
        ) from error
    return engine


def _module(name: str) -> ModuleType:
    if not name.endswith(".py"):
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(Path(name).stem, name)
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:200]}" if text else type(error).__name__


class VllmEngine:
    """One vLLM engine. On the CPU it lives in this very process, which starts in seconds instead of half a minute."""

    def __init__(self, settings: EngineSettings) -> None:
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        if not settings.gpu:
            os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
            os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
        from vllm import LLM

        self._llm = LLM(
            model=str(settings.model),
            dtype="bfloat16",
            seed=0,
            max_model_len=settings.max_model_len,
            max_num_seqs=settings.max_num_seqs,
            enable_prefix_caching=True,
            disable_log_stats=True,
            # vLLM reads this here only, and not among a request's parameters, where it may be given, too
            structured_outputs_config={"backend": "xgrammar", "disable_any_whitespace": True},
            **_placement(settings),
        )
        self._tokenizer: Any = self._llm.get_tokenizer()
        self._limit = int(self._llm.model_config.max_model_len)
        self._frames: dict[str, tuple[list[int], list[int]]] = {}

    def ask(self, texts: Sequence[str], prompt: Prompt, attempt: int) -> list[Said]:
        """See `Engine`. A text that does not fit with its answer gets the code `too_long`: none is ever cut."""
        from vllm import TokensPrompt

        asked = self.tokens(texts, prompt)
        most = prompt.sampling.max_tokens * (1 + attempt)
        room = [min(most, self._limit - len(tokens)) for tokens in asked]
        fits = [each >= _LEAST_ROOM for each in room]
        prompts = [TokensPrompt(prompt_token_ids=tokens) for tokens, fit in zip(asked, fits, strict=True) if fit]
        sampling = [_sampling(prompt, attempt, each) for each, fit in zip(room, fits, strict=True) if fit]
        try:
            outputs = iter(self._llm.generate(prompts, sampling, use_tqdm=False) if prompts else ())
        except BaseException:
            self._abort()
            raise
        return [
            _said(next(outputs)) if fit else Said(code="too_long", tokens_in=len(tokens))
            for tokens, fit in zip(asked, fits, strict=True)
        ]

    def tokens(self, texts: Sequence[str], prompt: Prompt) -> list[list[int]]:
        """The tokens of the whole prompt for each text."""
        if prompt.hash not in self._frames:
            self._frames[prompt.hash] = frame(self._tokenizer, prompt)
        before, after = self._frames[prompt.hash]
        return [[*before, *tokens, *after] for tokens in plain_tokens(self._tokenizer, texts)]

    def _abort(self) -> None:
        """Forget what was left unanswered, or the next call would get it back as well."""
        engine = self._llm.llm_engine
        engine.abort_request(list(engine.output_processor.request_states), internal=True)


def _placement(settings: EngineSettings) -> dict[str, Any]:
    if not settings.gpu:
        return {"kv_cache_memory_bytes": settings.kv_cache_mb << 20, "enforce_eager": True}
    tensor_parallel = settings.tensor_parallel
    return {
        "tensor_parallel_size": tensor_parallel,
        "gpu_memory_utilization": settings.gpu_memory_share,
        "distributed_executor_backend": "mp" if tensor_parallel > 1 else None,
    }


def _sampling(prompt: Prompt, attempt: int, max_tokens: int) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import StructuredOutputsParams

    return SamplingParams(
        temperature=prompt.sampling.second_temperature if attempt else 0.0,
        seed=prompt.sampling.seed,
        max_tokens=max_tokens,
        structured_outputs=StructuredOutputsParams(json=prompt.schema),
    )


def _said(output: Any) -> Said:
    first = output.outputs[0]
    return Said(
        answer=first.text,
        tokens_in=len(output.prompt_token_ids or ()),
        tokens_out=len(first.token_ids),
        cut=first.finish_reason == "length",
    )


def frame(tokenizer: Any, prompt: Prompt) -> tuple[list[int], list[int]]:
    """The prompt's tokens before and after the text that is asked about, by the tokenizer's chat template.

    Raises `ConfigError` where the model has no chat template, or one that does not bring the text word by word.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise ConfigError(
            "the model's tokenizer has no chat template; take an instruct model, or add one to its folder."
        )
    system, user = prompt.messages(_SLOT)
    try:
        written = tokenizer.apply_chat_template([system, user], tokenize=False, add_generation_prompt=True)
    except Exception:  # a template that knows no system turn refuses it in words of its own
        both = [{"role": "user", "content": system["content"] + "\n\n" + user["content"]}]
        written = tokenizer.apply_chat_template(both, tokenize=False, add_generation_prompt=True)
    before, found, after = written.partition(_SLOT)
    if not found or _SLOT in after:
        raise ConfigError("the model's chat template alters the text that it is given; take another model.")
    return tuple(tokenizer(part, add_special_tokens=False)["input_ids"] if part else [] for part in (before, after))  # type: ignore[return-value]


def plain_tokens(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """The tokens of each text, none of them special: a chat format's marks in it are letters like others."""
    if not texts:
        return []
    tokens = tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True)["input_ids"]
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    if any(special & set(each) for each in tokens):  # a tokenizer that does not know how to split them
        raise ConfigError("the model's tokenizer takes marks of its chat format from a text; take a fast tokenizer.")
    return tokens
