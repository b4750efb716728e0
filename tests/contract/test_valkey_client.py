"""``ValkeyClient`` on a real server: one connection per event loop that comes back by itself, and nothing out of step."""

import asyncio
import gc
import shutil
import ssl
import subprocess
import threading
import traceback
from contextlib import suppress

import pytest

from sengol_api.adapters.valkey import line
from sengol_api.adapters.valkey.client import Script, ValkeyClient
from sengol_api.adapters.valkey.errors import ValkeyAwayError, ValkeyError, ValkeyRefusedError
from support.loop_thread import LoopThread
from support.patience import eventually
from support.tcp_proxy import tcp_proxy
from support.valkey import valkey_server

pytestmark = pytest.mark.valkey
pytest_plugins = ["support.fixtures"]


@pytest.fixture
async def client(valkey):
    made = ValkeyClient(valkey.url)
    yield made
    await made.aclose()


@pytest.fixture
def proxy(valkey):
    with tcp_proxy(valkey.port) as made:
        yield made


@pytest.fixture
async def through(proxy):
    """A client that reaches the server through the proxy."""
    made = ValkeyClient(f"redis://127.0.0.1:{proxy.port}")
    yield made
    await made.aclose()


async def until_it_answers(client):
    async def answers():
        try:
            await client.ping()
        except ValkeyError:
            return False
        return True

    await eventually(answers)


async def test_nothing_is_connected_before_the_first_command(proxy, through):
    assert proxy.accepted == 0
    await through.ping()
    await through.ping()
    assert proxy.accepted == 1


async def test_answers_of_every_kind_come_back(client):
    assert await client.ask("SET", "a", b"\x00\r\n") == b"OK"
    assert await client.ask("GET", "a") == b"\x00\r\n"
    assert await client.ask("GET", "b") is None
    assert await client.ask("INCR", "n") == 1
    assert await client.ask("MGET", "a", "b", "n") == [b"\x00\r\n", None, b"1"]


async def test_each_of_many_at_once_gets_its_own_answer_over_one_connection_in_few_writes(valkey, client):
    await client.ping()
    before = int(_info(valkey, "total_reads_processed"))
    answers = await asyncio.gather(*(client.ask("ECHO", f"{n}") for n in range(500)))
    assert answers == [f"{n}".encode() for n in range(500)]
    assert int(_info(valkey, "total_reads_processed")) - before < 50
    assert _info(valkey, "connected_clients") == "2", "this one, and the one that asks"


async def test_the_connection_says_whose_it_is(valkey, client):
    await client.ping()
    assert b" name=sengol-api " in valkey.ask("CLIENT", "LIST")


async def test_an_error_reaches_who_asked_and_nobody_else(client):
    await client.ask("SET", "a", "text")
    good, bad, also = await asyncio.gather(
        client.ask("GET", "a"), client.ask("INCR", "a"), client.ask("GET", "a"), return_exceptions=True
    )
    assert (good, also) == (b"text", b"text")
    assert isinstance(bad, ValkeyRefusedError)


async def test_a_caller_that_goes_away_brings_nothing_out_of_step(valkey, client):
    await client.ping()
    valkey.freeze()
    gone = [asyncio.ensure_future(client.ask("ECHO", f"gone-{n}")) for n in range(3)]
    stays = asyncio.ensure_future(client.ask("ECHO", "stays"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for each in gone:
        each.cancel()
    valkey.thaw()
    assert await stays == b"stays"
    assert await client.ask("ECHO", "later") == b"later"


async def test_a_caller_that_goes_away_while_it_is_connected_leaves_the_connection_to_the_next(proxy, through):
    proxy.hang()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await through.ping()
    proxy.pass_on()
    await through.ping()
    assert proxy.accepted == 1


async def test_what_nobody_waits_for_any_more_before_it_was_sent_is_not_sent(client):
    for _ in range(2):  # before there is a connection, and after
        client.ask("SET", "a", "1").cancel()
        assert await client.ask("GET", "a") is None


async def test_a_server_that_is_not_there_is_an_error_that_says_so_at_once(valkey):
    valkey.kill()
    client = ValkeyClient(valkey.url)
    with pytest.raises(ValkeyAwayError, match=rf"redis://127\.0\.0\.1:{valkey.port}/0 cannot be reached: .*refused"):
        await client.ping()


async def test_a_host_that_nobody_knows_is_an_error_that_says_so():
    with pytest.raises(ValkeyAwayError, match="cannot be reached"):
        await ValkeyClient("redis://no-such-host.invalid").ping()


async def test_after_kill_9_and_a_restart_it_is_connected_again_by_the_next_command(valkey, client):
    await client.ask("SET", "a", "1")
    valkey.kill()
    with pytest.raises(ValkeyAwayError):
        await client.ping()
    valkey.start()
    await until_it_answers(client)
    assert await client.ask("GET", "a") is None


async def test_a_connection_that_the_server_closed_while_nobody_asked_costs_no_call(valkey, client):
    await client.ping()
    valkey.ask("CLIENT", "KILL", "TYPE", "NORMAL", "SKIPME", "YES")

    async def noticed():
        return not any(each._wire is not None and each._wire.alive for each in client._lines.values())

    await eventually(noticed)
    await client.ping()


async def test_a_connection_that_breaks_tells_all_who_wait_each_with_an_error_of_its_own(proxy, through):
    await through.ping()
    proxy.freeze("to_client")
    waiting = [asyncio.ensure_future(through.ping()) for _ in range(3)]
    await asyncio.sleep(0.02)
    proxy.reset_open()
    errors = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in errors] == [ValkeyAwayError] * 3
    assert len({id(each) for each in errors}) == 3


async def test_a_frozen_server_is_given_up_and_asked_anew_when_it_is_back(valkey):
    client = ValkeyClient(valkey.url, timeout=0.1, connect_timeout=0.1)
    await client.ping()
    valkey.freeze()
    with pytest.raises(ValkeyAwayError, match=r"did not answer within 0\.1 s"):
        await client.ping()
    with pytest.raises(ValkeyAwayError, match=r"gave no connection within 0\.1 s"):
        await client.ping()
    valkey.thaw()
    await until_it_answers(client)
    await client.aclose()


async def test_answers_that_drip_in_are_put_together(proxy, through):
    await through.ask("SET", "a", b"0123456789" * 3)
    proxy.drip(0.001, "to_client", size=7)
    assert await asyncio.gather(*(through.ask("GET", "a") for _ in range(3))) == [b"0123456789" * 3] * 3


async def test_no_more_than_so_many_wait_for_a_server_that_does_not_answer(valkey, client, monkeypatch):
    monkeypatch.setattr(line, "MOST_WAITING", 10)
    await client.ping()
    valkey.freeze()
    waiting = [asyncio.ensure_future(client.ping()) for _ in range(10)]
    await asyncio.sleep(0)
    with pytest.raises(ValkeyAwayError, match="does not keep up"):
        await client.ping()
    valkey.thaw()
    await asyncio.gather(*waiting)


async def test_no_more_than_so_many_wait_for_a_connection(proxy, through, monkeypatch):
    monkeypatch.setattr(line, "MOST_WAITING", 10)
    proxy.hang()
    waiting = [asyncio.ensure_future(through.ping()) for _ in range(10)]
    await asyncio.sleep(0)
    with pytest.raises(ValkeyAwayError, match="does not keep up"):
        await through.ping()
    proxy.pass_on()
    await asyncio.gather(*waiting)


async def test_another_protocol_at_the_address_is_told():
    async def http(reader, writer):
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(http, "127.0.0.1", 0)
    async with server:
        client = ValkeyClient(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(ValkeyAwayError, match="speaks another protocol"):
            await client.ping()
        await client.aclose()


async def test_closed_it_tells_who_waits_and_opens_again_when_it_is_asked(valkey, client):
    await client.ping()
    valkey.freeze()
    waiting = asyncio.ensure_future(client.ping())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await client.aclose()
    with pytest.raises(ValkeyAwayError, match="closed from this side"):
        await waiting
    valkey.thaw()
    await client.ping()
    await client.aclose()
    await client.aclose()


async def test_closed_while_it_connects_it_tells_who_waits(proxy, through):
    proxy.hang()
    waiting = asyncio.ensure_future(through.ping())
    await asyncio.sleep(0)
    await through.aclose()
    with pytest.raises(ValkeyAwayError):
        await waiting


async def test_closed_in_the_middle_of_connecting_it_leaves_nothing_open(proxy, through):
    proxy.hang()
    waiting = asyncio.ensure_future(through.ping())

    async def arrived():
        return proxy.accepted == 1

    await eventually(arrived)
    await through.aclose()
    with pytest.raises(ValkeyAwayError, match="closed from this side"):
        await waiting
    proxy.pass_on()

    async def closed():
        return proxy.open == 0

    await eventually(closed)
    await through.ping()


def test_one_client_serves_two_event_loops_in_a_row_and_two_at_once(valkey):
    client = ValkeyClient(valkey.url)

    async def work(word):
        try:
            return await asyncio.gather(*(client.ask("ECHO", f"{word}-{n}") for n in range(20)))
        finally:
            await client.aclose()

    for word in ("first", "second"):
        assert asyncio.run(work(word)) == [f"{word}-{n}".encode() for n in range(20)]
    threads = [LoopThread(f"loop-{n}") for n in range(2)]
    try:
        running = [asyncio.run_coroutine_threadsafe(work(f"at-once-{n}"), each.loop) for n, each in enumerate(threads)]
        for n, each in enumerate(running):
            assert each.result(30) == [f"at-once-{n}-{i}".encode() for i in range(20)]
    finally:
        for each in threads:
            each.close()
    assert not client._lines
    assert threading.active_count() < 10


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_an_event_loop_that_ended_without_closing_it_does_not_trouble_the_next(valkey):
    client = ValkeyClient(valkey.url)

    async def ask():
        return await client.ask("ECHO", "x")

    assert [asyncio.run(ask()), asyncio.run(ask())] == [b"x", b"x"]

    async def last():
        await client.ping()
        await client.aclose()

    asyncio.run(last())
    assert not client._lines
    gc.collect()


async def test_a_script_runs_though_the_server_has_not_seen_it(valkey, client):
    script = Script.of("return {KEYS[1], ARGV[1]}")
    assert await client.run(script, ("a",), 1) == [b"a", b"1"]
    valkey.ask("SCRIPT", "FLUSH")
    assert await client.run(script, ("a",), 2) == [b"a", b"2"]
    with pytest.raises(ValkeyRefusedError):
        await client.run(Script.of("return redis.call('nonsense')"), ())


async def test_databases_are_apart(valkey):
    zero, three = ValkeyClient(valkey.url), ValkeyClient(f"{valkey.url}/3")
    await three.ask("SET", "a", "1")
    assert await zero.ask("GET", "a") is None
    assert await three.ask("GET", "a") == b"1"
    with pytest.raises(ValkeyRefusedError, match="SELECT"):
        await ValkeyClient(f"{valkey.url}/99").ping()
    await zero.aclose()
    await three.aclose()


async def test_it_works_over_a_unix_socket(tmp_path):
    with valkey_server(tmp_path, unix=True) as server:
        client = ValkeyClient(server.url)
        assert await client.ask("ECHO", "x") == b"x"
        await client.aclose()
        server.kill()
        with pytest.raises(ValkeyAwayError, match=r"unix://.*cannot be reached"):
            await client.ping()


async def test_a_password_opens_and_is_in_no_error(valkey, caplog):
    valkey.ask("ACL", "SETUSER", "api", "on", ">sesame/1", "~*", "+@all")
    valkey.ask("CONFIG", "SET", "requirepass", "sesame/2")
    for user in (":sesame%2F2", "api:sesame%2F1"):
        client = ValkeyClient(f"redis://{user}@127.0.0.1:{valkey.port}")
        await client.ping()
        await client.aclose()
    for user, says in ((":sesame-wrong", "WRONGPASS: user or password are wrong"), ("", "NOAUTH: it wants a password")):
        client = ValkeyClient(f"redis://{user}@127.0.0.1:{valkey.port}")
        with pytest.raises(ValkeyRefusedError, match=says) as caught:
            await client.ping()
        shown = "".join(traceback.format_exception(caught.value)) + repr(client) + repr(caught.value) + caplog.text
        assert "sesame" not in shown


async def test_a_user_that_may_not_name_its_connection_works_without(valkey):
    valkey.ask("ACL", "SETUSER", "api", "on", ">sesame", "~sengol:*", "+@read", "+@write")
    client = ValkeyClient(f"redis://api:sesame@127.0.0.1:{valkey.port}")
    assert await client.ask("SET", "sengol:a", "1") == b"OK"
    with pytest.raises(ValkeyRefusedError, match="NOPERM: the user may not do this"):
        await client.ask("SET", "other", "1")
    await client.aclose()


async def test_tls_is_spoken_and_a_certificate_that_nobody_signed_is_refused(valkey, tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here to make a certificate")
    context, certificate, key = await asyncio.to_thread(_self_signed, tmp_path)
    shown = []

    async def pass_on(reader, writer):
        shown.append(writer.get_extra_info("peercert"))
        answers, server = await asyncio.open_connection("127.0.0.1", valkey.port)
        await asyncio.gather(_pump(reader, server), _pump(answers, writer))

    terminator = await asyncio.start_server(pass_on, "localhost", 0, ssl=context)
    async with terminator:
        address = f"localhost:{terminator.sockets[0].getsockname()[1]}"
        own = f"ssl_ca_certs={certificate}&ssl_certfile={certificate}&ssl_keyfile={key}"
        for options in (f"ssl_ca_certs={certificate}", "ssl_cert_reqs=none", own):
            client = ValkeyClient(f"rediss://{address}?{options}")
            assert await client.ask("ECHO", "x") == b"x"
            await client.aclose()
        assert [bool(each) for each in shown] == [False, False, True], "a certificate of one's own is shown when there is one"
        with pytest.raises(ValkeyAwayError, match="cannot be reached: CERTIFICATE_VERIFY_FAILED"):
            await ValkeyClient(f"rediss://{address}").ping()
        plain = ValkeyClient(f"redis://{address}", connect_timeout=5.0)
        with pytest.raises(ValkeyAwayError):
            await plain.ping()
        await plain.aclose()
        if others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others, timeout=20)


def _self_signed(folder):
    """A server's TLS with a certificate of its own for localhost, which clients may show as well, and the files of it."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command, *names], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(certificate)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context, certificate, key


async def _pump(reader, writer):
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


def _info(server, name):
    lines = server.ask("INFO", "all").decode().splitlines()
    return next(each.partition(":")[2] for each in lines if each.startswith(f"{name}:"))
