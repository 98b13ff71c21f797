"""Text encoders: the embedded lexical one, and a small BERT in a folder made here."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest
import torch

from ecgray.errors import ConfigError
from ecgray.text import lexical
from ecgray.text.build_lexical import build
from ecgray.text.encoders import HuggingFaceEncoder, load_text_encoder


def cosine(left: str, right: str) -> float:
    one, other = load_text_encoder("lexical").encode([left, right])
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def test_lexical_vectors_have_length_one_whatever_else_is_asked():
    encoder = load_text_encoder("lexical")
    together = encoder.encode(["inferior st elevation", "atrial fibrillation", "Ω ²"])
    assert together.shape == (3, encoder.width)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(encoder.encode(["atrial fibrillation"])[0], together[1])


def test_a_text_without_a_word_is_all_zeros():
    assert not load_text_encoder("lexical").encode(["", " - "]).any()
    assert load_text_encoder("lexical").encode([]).shape == (0, 768)


def test_case_and_punctuation_do_not_matter():
    assert cosine("Left bundle-branch block.", "left bundle branch block") == pytest.approx(1, abs=1e-6)


def test_terms_that_share_words_are_near():
    assert cosine("anterior st elevation", "inferior st elevation") > 0.5
    assert cosine("anterior st elevation", "atrial fibrillation") < 0.15


def test_inflections_are_nearer_than_strangers():
    assert cosine("prolonged qt", "qt prolongation") > cosine("prolonged qt", "qt shortening")


def test_a_phrase_is_about_the_sum_of_its_words():
    encoder = load_text_encoder("lexical")
    phrase, territory, finding = encoder.encode(["inferior st elevation", "inferior", "st elevation"])
    parts = territory + finding
    assert float(phrase @ parts / np.linalg.norm(parts)) > 0.9


def test_lexical_knows_abbreviations_and_synonyms_of_the_vocabulary():
    assert cosine("LBBB", "left bundle branch block") > 0.85
    assert cosine("fast heart rate", "tachycardia") > 0.7
    assert cosine("LBBB", "right bundle branch block") < cosine("LBBB", "left bundle branch block") - 0.1


def test_words_that_stand_in_many_terms_count_less():
    assert cosine("av block", "av") > cosine("av block", "block")


def test_the_shipped_file_is_what_its_script_makes():
    from safetensors.numpy import load

    shipped = load((Path(lexical.__file__).with_name("lexical.safetensors")).read_bytes())
    made = build()
    np.testing.assert_array_equal(made["index"], shipped["index"])
    np.testing.assert_allclose(made["rows"], shipped["rows"], atol=2e-3)


def test_lexical_vectors_are_the_same_on_every_machine():
    """As computed once: a change needs a new fingerprint."""
    encoder = load_text_encoder("lexical")
    (vector,) = encoder.encode(["sinus rhythm zebra"])
    assert encoder.fingerprint == GOLDEN_FINGERPRINT
    np.testing.assert_allclose(vector[:4], GOLDEN_FIRST, atol=1e-6)
    assert int((vector > 0).sum()) == GOLDEN_POSITIVE


GOLDEN_FINGERPRINT = "e40de18e98a0"
GOLDEN_FIRST = (-0.00297815, 0.0387966, 0.07055953, 0.07133168)
GOLDEN_POSITIVE = 380


@pytest.fixture(scope="module")
def small_bert(tmp_path_factory) -> Path:
    """A BERT of two narrow layers and a vocabulary of words, saved as HF saves it."""
    return make_bert(tmp_path_factory.mktemp("bert") / "small", seed=0)


def make_bert(folder: Path, *, seed: int) -> Path:
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder.mkdir(parents=True)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "sinus", "rhythm", "atrial", "##s", "block", "av"]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(vocab_file=str(folder / "vocab.txt"), do_lower_case=True).save_pretrained(folder)
    torch.manual_seed(seed)
    shape = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=80,
    )
    BertModel(shape).save_pretrained(folder)
    return folder


def test_a_folder_gives_the_first_tokens_last_state(small_bert):
    """Against transformers called by hand, one text at a time, without padding."""
    from transformers import AutoModel, AutoTokenizer

    texts = ["sinus rhythm", "av block", "Atrial rhythms block sinus"]
    encoder = load_text_encoder(str(small_bert), batch=2)
    tokenizer, model = AutoTokenizer.from_pretrained(small_bert), AutoModel.from_pretrained(small_bert).eval()
    with torch.no_grad():
        by_hand = [model(**tokenizer(text, return_tensors="pt")) for text in texts]
    ours = encoder.encode(texts)
    np.testing.assert_allclose(ours, torch.cat([one.last_hidden_state[:, 0] for one in by_hand]), atol=1e-5)
    pooled = load_text_encoder(str(small_bert), pooler="pooler").encode(texts)
    np.testing.assert_allclose(pooled, torch.cat([one.pooler_output for one in by_hand]), atol=1e-5)
    assert (encoder.width, ours.dtype) == (16, np.float32)


def test_a_long_text_is_cut_at_64_tokens(small_bert):
    encoder = load_text_encoder(str(small_bert))
    long, longer = encoder.encode(["block " * 70, "block " * 70 + "sinus"])
    np.testing.assert_array_equal(long, longer)


def test_no_texts_give_no_vectors(small_bert):
    assert load_text_encoder(str(small_bert)).encode([]).shape == (0, 16)


def test_nothing_is_learned_and_nothing_is_drawn(small_bert):
    encoder = load_text_encoder(str(small_bert))
    assert isinstance(encoder, HuggingFaceEncoder)
    np.testing.assert_array_equal(encoder.encode(["av block"]), encoder.encode(["av block"]))


def test_the_fingerprint_tells_weights_and_pooling_apart(small_bert, tmp_path):
    same = load_text_encoder(str(small_bert)).fingerprint
    assert load_text_encoder(str(small_bert)).fingerprint == same
    assert load_text_encoder(str(small_bert), pooler="pooler").fingerprint != same
    assert load_text_encoder(str(make_bert(tmp_path / "other", seed=1))).fingerprint != same


def test_the_same_folder_elsewhere_is_the_same_encoder(small_bert, tmp_path):
    moved = tmp_path / "moved"
    moved.symlink_to(small_bert)
    assert load_text_encoder(str(moved)).fingerprint == load_text_encoder(str(small_bert)).fingerprint


def test_a_folder_that_is_not_there_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(ConfigError, match=r"there is no folder .*/nowhere; give a folder"):
        load_text_encoder(str(tmp_path / "nowhere"))


def test_pickled_weights_are_refused(small_bert, tmp_path):
    """Only safetensors: a pytorch_model.bin could run code."""
    folder = make_bert(tmp_path / "pickled", seed=0)
    (folder / "model.safetensors").unlink()
    torch.save({"weight": torch.zeros(1)}, folder / "pytorch_model.bin")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        load_text_encoder(str(folder))


def test_code_in_a_models_folder_is_not_run(tmp_path):
    folder = make_bert(tmp_path / "coded", seed=0)
    config = (folder / "config.json").read_text().replace("{", '{"auto_map": {"AutoModel": "evil.Evil"},', 1)
    (folder / "config.json").write_text(config.replace('"model_type": "bert"', '"model_type": "evil"'))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        load_text_encoder(str(folder))
    assert not (tmp_path / "ran").exists()


def test_offline_a_hub_name_that_is_not_cached_is_refused_without_a_connection(monkeypatch):
    import huggingface_hub.constants

    def no_network(*_: object, **__: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(socket.socket, "connect", no_network)
    with pytest.raises(ConfigError, match=r"'ecgray/no-such-model' cannot be loaded .*in the cache or online"):
        load_text_encoder("ecgray/no-such-model")
