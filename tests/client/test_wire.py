"""What the client does when the wire does not hold: once more where that is safe, else one sentence."""

from __future__ import annotations

import copy
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from scripted_service import CLASSIFIED, answer, half, hang_up, refusal, reset, scripted

from ecgray.client import Client, Overloaded, ServiceError, Unreachable
from ecgray.client import wire as wire_module
from ecgray.client.address import open_way, parse_address
from ecgray.errors import ConfigError
from ecgray.leads import LEADS

ECG = np.zeros((12, 5000), np.int16)


def ask(client: Client, **options):
    return client.classify(ECG, ["atrial fibrillation"], fs=500, leads=LEADS, **options)


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ECGRAY_TOKEN", raising=False)
    monkeypatch.setattr(wire_module, "PAUSE_S", 0.01)


def test_one_connection_serves_many_requests():
    with scripted(answer(CLASSIFIED)) as script, Client(script.address) as client:
        for _ in range(3):
            ask(client)
        assert (len(script.asked), script.connections) == (3, 1)


def test_each_thread_has_its_own_connection():
    with scripted(answer(CLASSIFIED)) as script, Client(script.address) as client:
        ask(client)
        threads = [threading.Thread(target=ask, args=(client,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(script.asked), script.connections) == (4, 4)


@pytest.mark.parametrize("fault", [hang_up, reset, half])
def test_a_lost_connection_costs_one_more_request(fault):
    with scripted(fault, answer(CLASSIFIED)) as script, Client(script.address) as client:
        assert ask(client).probability("atrial fibrillation") == 0.9
        assert len(script.asked) == 2


def test_a_connection_that_idled_too_long_is_opened_anew_and_costs_no_retry():
    def last(handler):
        answer(CLASSIFIED)(handler)
        handler.close_connection = True  # without a word, as servers do after their keep-alive time

    with scripted(last) as script, Client(script.address, retries=0) as client:
        for _ in range(3):
            ask(client)
            time.sleep(0.05)
        assert script.connections == 3


@pytest.mark.parametrize("fault", [hang_up, reset, half])
def test_without_retries_a_lost_connection_is_one_sentence(fault):
    with scripted(fault, answer(CLASSIFIED)) as script, Client(script.address, retries=0) as client:
        with pytest.raises(Unreachable, match=r"cannot be reached") as caught:
            ask(client)
        assert (caught.value.status, caught.value.exit_status, len(script.asked)) == (0, 1, 1)
        assert ask(client)  # the client is still good


@pytest.mark.parametrize("status", [429, 502, 503])
def test_a_busy_service_is_asked_once_more_after_the_time_that_it_names(status):
    with scripted(refusal(status, "overloaded", Retry_After="1"), answer(CLASSIFIED)) as script:
        began = time.monotonic()
        with Client(script.address) as client:
            assert ask(client)
        assert time.monotonic() - began >= 1
        assert (len(script.asked), script.connections) == (2, 1)


def test_a_service_that_is_busy_for_long_is_not_waited_for():
    with scripted(refusal(429, "overloaded", Retry_After="600")) as script, Client(script.address) as client:
        with pytest.raises(Overloaded) as caught:
            ask(client)
        assert (caught.value.retry_after_s, caught.value.exit_status, len(script.asked)) == (600, 1, 1)


@pytest.mark.parametrize("status", [400, 401, 408, 413, 422, 500])
def test_what_another_try_would_not_mend_is_not_tried(status):
    with scripted(refusal(status, "no")) as script, Client(script.address) as client:
        with pytest.raises(ServiceError, match=r"^It is no\.$") as caught:
            ask(client)
        assert (caught.value.code, caught.value.status, caught.value.request_id) == ("no", status, "r-9")
        assert caught.value.exit_status == (1 if status in (408, 500) else 2)
        assert len(script.asked) == 1
        again = copy.copy(caught.value)  # as Ray carries it
        assert (again.code, again.status, str(again)) == ("no", status, "It is no.")


def test_nobody_there_is_one_sentence():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(Unreachable, match=rf"127\.0\.0\.1:{port} cannot be reached \(Connection refused\)"):
        ask(Client(f"http://127.0.0.1:{port}"))


def test_too_slow_an_answer_is_given_up_and_not_asked_again():
    with scripted(lambda handler: time.sleep(0.6)) as script, Client(script.address, timeout_s=0.2) as client:
        with pytest.raises(Unreachable, match=r"did not answer within 0\.2 s"):
            ask(client)
        assert len(script.asked) == 1


def test_an_answer_that_is_none_of_ours_is_said_so():
    with scripted(lambda handler: handler.say(200, "text/html", b"<html>")) as script, Client(script.address) as client:
        with pytest.raises(ServiceError, match="is no JSON") as caught:
            ask(client)
        assert caught.value.code == "answer_invalid"
    with (
        scripted(lambda one: one.say(404, "text/html", b"<html>")) as script,
        pytest.raises(ServiceError, match="answered 404 without saying why"),
    ):
        ask(Client(script.address))


def test_an_endless_answer_is_cut(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(wire_module, "MOST_ANSWER_BYTES", 100)
    with scripted(answer(CLASSIFIED)) as script, pytest.raises(ServiceError, match="longer than 100 bytes"):
        ask(Client(script.address))


# --- the token


def test_the_token_is_sent_and_never_shown(monkeypatch: pytest.MonkeyPatch):
    with scripted(answer(CLASSIFIED)) as script:
        ask(Client(script.address, token="very-secret-token"))
        monkeypatch.setenv("ECGRAY_TOKEN", "from-the-environment")
        client = Client(script.address)
        ask(client)
        ask(Client(script.address, token=""))
        heads = [headers.get("Authorization") for _, _, headers, _ in script.asked]
    assert heads == ["Bearer very-secret-token", "Bearer from-the-environment", None]
    assert "environment" not in repr(client) + repr(vars(client))


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "\u00fcber"])
def test_a_token_that_no_header_holds_is_refused_without_repeating_it(token):
    with pytest.raises(ConfigError) as caught:
        Client(token=token)
    assert token not in str(caught.value)


# --- addresses, proxies, TLS


@pytest.mark.parametrize(
    "server", ["127.0.0.1:8000", "ftp://host", "http://", "http://me:secret@host", "http://host:port", "http://h/?a=1"]
)
def test_an_address_that_is_none_is_refused_in_a_sentence(server):
    with pytest.raises(ConfigError) as caught:
        Client(server)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_no_proxy_stands_between_us_and_this_machine(monkeypatch: pytest.MonkeyPatch, variable: str):
    monkeypatch.setenv(variable, "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    with scripted(answer(CLASSIFIED)) as script:
        assert ask(Client(script.address))


def test_other_machines_are_reached_through_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "no_proxy", "all_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    with scripted(answer(CLASSIFIED)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.address.replace("//", "//me:pass%20word@"))
        ask(Client("http://ecg.example"))
        _, path, headers, _ = proxy.asked[0]
        assert path == "http://ecg.example:80/v1/classify"
        assert headers["Proxy-Authorization"] == "Basic bWU6cGFzcyB3b3Jk"
        monkeypatch.setenv("no_proxy", "ecg.example")
        way = open_way(parse_address("http://ecg.example/under"), 1.0)
        assert (way.connection.host, way.before, way.headers) == ("ecg.example", "/under", {})


def test_tls_is_verified(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    certificate = own_certificate(tmp_path)
    import ssl

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with scripted(answer(CLASSIFIED), tls=tls) as script:
        with pytest.raises(Unreachable, match=r"certificate that does not hold \(self.signed certificate\)"):
            ask(Client(script.address))
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with Client(script.address) as client:
            assert ask(client)


def own_certificate(folder: Path) -> Path:
    """Key and self-signed certificate of 127.0.0.1, in one file."""
    x509 = pytest.importorskip("cryptography.x509")
    import datetime
    import ipaddress

    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    parts = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path = folder / "own.pem"
    path.write_bytes(parts + built.public_bytes(serialization.Encoding.PEM))
    return path
