"""The status page in a real Chromium, over the real server: as somebody on call sees it, hears it and uses it."""

import os
import re
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import expect

from support.chromium import chromium

pytestmark = [pytest.mark.e2e, pytest.mark.chromium]
ADMIN, USER, PASSWORD = "admin@example.com", "user@example.com", "a long passphrase"
PATIENCE = 30_000
CONTRAST = Path(__file__).parents[1] / "support" / "contrast.js"


@pytest.fixture(scope="module")
def driver():
    """The driver wants a thread of its own: one in which no event loop of other tests runs."""
    with ThreadPoolExecutor(1) as thread:
        context = chromium()
        started = thread.submit(context.__enter__).result()
        yield thread, started
        thread.submit(context.__exit__, None, None, None).result()


@pytest.fixture
def look(driver):
    """Runs a test's function with a page on a server, in the driver's thread; a complaint of the browser fails it."""
    thread, browser = driver

    def run(server, act, *, expected=(), **options):
        def begin():
            context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce", **options})
            complaints = []
            page = context.new_page()
            page.set_default_timeout(PATIENCE)
            expect.set_options(timeout=PATIENCE)
            page.on("console", lambda line: complaints.append(line.text) if line.type in {"error", "warning"} else None)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            try:
                page.goto(f"{server.url}/status")
                expect(page.locator("#line")).to_have_attribute("data-state", "live")
                result = act(page)
            finally:
                context.close()
            left = [each for each in complaints if not any(word in each for word in expected)]
            assert left == []
            return result

        return thread.submit(begin).result(180)

    return run


@pytest.fixture(scope="module")
def server(shared_small):
    """A small service with an administrator and a user."""
    server = shared_small().wait_until_ready()
    for email in (ADMIN, USER):
        server.log_in(email).close()
    import sqlite3

    with sqlite3.connect(server.data_dir / "sengol.sqlite3") as database:
        database.execute("UPDATE users SET role = 'admin' WHERE email = ?", [ADMIN])
    database.close()
    return server


def fail(server, *, email=USER):
    """Make calls of the dependency fail until its circuit breaker opens."""
    with server.log_in(email, register=False) as client:
        review = client.post("/api/review", json={}).json()["data"]["id"]
        answer = client.post(f"/api/review/{review}/generate-questions", json={"systemDescription": "break 6 calls of it, please"})
        assert answer.status_code == 200


def reset(server):
    with server.log_in(ADMIN, register=False) as client:
        assert client.post("/admin/circuit-breakers/vectorSearch/reset").status_code == 200


@contextmanager
def trouble(server):
    """While it lasts the circuit breaker is open."""
    fail(server)
    try:
        yield
    finally:
        reset(server)


def card(page):
    return page.get_by_role("article", name="vectorSearch")


def sign_in(page, email):
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("dialog").get_by_role("button", name="Sign in").click()


def test_a_breaker_that_opens_and_closes_is_seen_on_the_open_page_with_its_history(look, server):
    def act(page):
        expect(page.get_by_role("heading", name="All is well")).to_be_visible()
        expect(card(page).get_by_text("closed", exact=True)).to_be_visible()
        with trouble(server):
            expect(page.get_by_role("heading", name="Degraded")).to_be_visible()
            expect(page).to_have_title("Degraded · Sengol API")
            expect(page.get_by_role("list", name="What is not as it should be")).to_contain_text("its circuit breaker is open")
            expect(card(page)).to_contain_text("next probe in")
            card(page).get_by_text("History:").click()
            row = card(page).get_by_role("row").nth(1)
            expect(row).to_contain_text("CLOSED")
            expect(row).to_contain_text("OPEN")
            expect(row).to_contain_text("ConnectionError")
        expect(page.get_by_role("heading", name="All is well")).to_be_visible()
        expect(card(page).get_by_role("row").nth(1)).to_contain_text("reset by hand")
        assert "canary" not in page.content()

    look(server, act)


def test_calls_become_a_line_of_the_graphs_within_a_few_seconds(look, server):
    def act(page):
        with trouble(server):
            graph = card(page).get_by_role("img", name=re.compile("p95"))
            expect(graph).to_have_accessible_name(re.compile(r"highest \d"))
            assert graph.locator(".stroke").get_attribute("d")
            requests = page.get_by_role("img", name=re.compile("Requests a second"))
            expect(requests).to_have_accessible_name(re.compile(r"highest \d"))

    look(server, act)


def test_an_administrator_resets_and_isolates_and_a_token_is_kept_nowhere(look, server):
    def act(page):
        addresses = []
        page.on("request", lambda request: addresses.append(request.url))
        fail(server)
        expect(card(page).get_by_text("open", exact=True)).to_be_visible()
        assert card(page).get_by_role("button").count() == 0
        sign_in(page, ADMIN)
        expect(page.locator("#told")).to_contain_text("Signed in as admin@example.com")
        card(page).get_by_role("button", name="Reset the circuit breaker of vectorSearch").click()
        expect(card(page).get_by_text("closed", exact=True)).to_be_visible()
        expect(page.locator("#told")).to_contain_text("is closed")
        card(page).get_by_role("button", name="Isolate").click()
        page.get_by_role("dialog", name="Isolate vectorSearch?").get_by_role("button", name="Cancel").click()
        expect(card(page).get_by_text("closed", exact=True)).to_be_visible()
        card(page).get_by_role("button", name="Isolate").click()
        page.get_by_role("dialog", name="Isolate vectorSearch?").get_by_role("button", name="Isolate").click()
        expect(card(page).get_by_text("isolated", exact=True)).to_be_visible()
        card(page).get_by_role("button", name="Enable").click()
        expect(card(page).get_by_text("closed", exact=True)).to_be_visible()
        kept = page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]")
        assert kept == [0, 0, ""]
        assert not any("eyJ" in each or "passphrase" in each for each in addresses)
        assert page.get_by_label("Password").input_value() == ""
        assert "eyJ" not in page.content()
        page.get_by_role("button", name="Sign out").click()
        expect(card(page).get_by_role("button")).to_have_count(0)
        page.reload()
        expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()

    look(server, act)


def test_caches_are_emptied_by_an_administrator_who_means_it(look, server):
    def act(page):
        sign_in(page, ADMIN)
        page.get_by_role("button", name="Empty all caches").click()
        page.get_by_role("dialog", name="Empty all caches?").get_by_role("button", name="Empty all").click()
        expect(page.locator("#told")).to_contain_text("All caches are emptied.")

    look(server, act)


def test_who_is_no_administrator_looks_and_orders_nothing(look, server):
    def act(page):
        sign_in(page, USER)
        expect(page.get_by_role("alert")).to_contain_text("no administrator")
        page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("button", name="Reset")).to_have_count(0)
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.get_by_label("E-mail address").fill(USER)
        page.get_by_label("Password").fill("a wrong passphrase")
        page.get_by_role("dialog").get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).not_to_be_empty()

    look(server, act, expected=["401"])


def test_an_administrator_whose_role_is_taken_away_is_signed_out_at_the_next_order(look, server):
    import sqlite3

    def role(value):
        with sqlite3.connect(server.data_dir / "sengol.sqlite3") as database:
            database.execute("UPDATE users SET role = ? WHERE email = ?", [value, ADMIN])
        database.close()

    def act(page):
        sign_in(page, ADMIN)
        button = card(page).get_by_role("button", name="Isolate")
        expect(button).to_be_visible()
        role("user")
        try:
            button.click()
            page.get_by_role("dialog", name="Isolate vectorSearch?").get_by_role("button", name="Isolate").click()
            expect(page.locator("#told")).to_contain_text("Refused: This needs an administrator")
            expect(button).to_have_count(0)
            expect(card(page).get_by_text("closed", exact=True)).to_be_visible()
        finally:
            role("admin")

    look(server, act, expected=["403"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1440])
def test_it_fits_every_screen_in_both_schemes_with_enough_contrast(look, server, scheme, width):
    def act(page):
        with trouble(server):
            expect(page.get_by_role("heading", name="Degraded")).to_be_visible()
            sign_in(page, ADMIN)
            card(page).get_by_text("History:").click()
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate(CONTRAST.read_text()) == []
            light = page.evaluate("getComputedStyle(document.body).backgroundColor")
            return sum(map(int, re.findall(r"\d+", light)[:3])) > 600

    assert look(server, act, color_scheme=scheme, viewport={"width": width, "height": 800}) is (scheme == "light")


def test_a_screen_reader_finds_landmarks_headings_names_and_real_tables(look, server):
    def act(page):
        with trouble(server):
            expect(page.get_by_role("heading", name="Degraded")).to_be_visible()
            session = page.context.new_cdp_session(page)
            nodes = [node for node in session.send("Accessibility.getFullAXTree")["nodes"] if not node.get("ignored")]
            named = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes]
            spoken = page.locator("#spoken").text_content()
        return named, spoken

    named, spoken = look(server, act)
    roles = [role for role, _ in named]
    assert {"banner", "main", "contentinfo", "region", "article", "table", "columnheader", "rowheader", "status"} <= set(roles)
    assert [name for role, name in named if role == "heading"][:2] == ["Sengol API status", "Degraded"]
    for role in ("button", "link", "table", "region", "article", "image", "img", "textbox", "dialog", "list"):
        assert all(name for each, name in named if each == role and name is not None) or role == "list", role
    assert {"Caches", "Workers", "Admission and bulkheads"} <= {name for role, name in named if role == "table"}
    assert roles.count("status") <= 2
    assert roles.count("main") == 1
    assert spoken == "Degraded: vectorSearch"


def test_on_a_narrow_screen_tables_are_still_tables(look, server):
    def act(page):
        table = page.get_by_role("table", name="Workers")
        expect(table.get_by_role("row")).to_have_count(2)
        expect(table.get_by_role("rowheader")).to_have_text("1")
        return table.get_by_role("cell").count()

    assert look(server, act, viewport={"width": 360, "height": 700}) == 4


def test_everything_can_be_reached_and_used_by_keyboard_and_its_focus_is_seen(look, server):
    def act(page):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        expect(focused).to_have_text("Sign in")
        assert focused.evaluate("node => getComputedStyle(node).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        page.keyboard.type(ADMIN)
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Sign out")).to_be_focused()
        card(page).locator("summary").focus()
        page.keyboard.press("Enter")
        kept = card(page).locator("summary")
        before = page.locator("#line-text").text_content()
        expect(page.locator("#line-text")).not_to_have_text(before)  # samples come and go
        expect(kept).to_be_focused()
        expect(card(page).get_by_role("table")).to_be_visible()

    look(server, act)


def test_after_a_restart_of_the_server_the_page_goes_on_by_itself(look, small):
    first = small("--port", str(free_port())).wait_until_ready()

    def act(page):
        os.killpg(first.process.pid, signal.SIGKILL)
        first.process.wait()
        expect(page.locator("#line")).to_have_attribute("data-state", "wait")
        expect(page.locator("#stale")).to_contain_text("No news since")
        small("--port", first.url.rpartition(":")[2]).wait_until_ready()
        expect(page.locator("#line")).to_have_attribute("data-state", "live")
        expect(page.locator("#stale")).to_be_hidden()

    look(first, act, expected=["ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET", "ERR_EMPTY"])


def free_port():
    from support.service_process import free_ports

    return free_ports(1)[0]


def test_a_page_that_is_open_does_not_hold_the_server_when_it_stops(look, small):
    server = small().wait_until_ready()

    def act(page):
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        expect(page.locator("#line")).to_have_attribute("data-state", "wait")

    look(server, act, expected=["ERR_"])


def test_of_two_workers_whichever_is_asked_both_are_shown(look, small):
    server = small("--workers", "2").wait_until_ready()
    server.log_in(USER).close()

    fail(server)

    def act(page):
        expect(page.get_by_role("table", name="Workers").get_by_role("row")).to_have_count(3)
        expect(card(page)).to_contain_text("Circuit breaker open in 1 of 2 workers")
        expect(page.locator("#problems")).to_contain_text("in 1 of 2 workers")
        expect(page.locator("#about")).to_contain_text("2 of 2 workers answer")

    for _ in range(3):  # connections of their own, so that both workers are asked
        look(server, act)


def test_many_viewers_cost_one_sampler_and_too_many_are_told_to_wait(server):
    opened, refused = [], threading.Event()
    with httpx2.Client(base_url=server.url, timeout=30, limits=httpx2.Limits(max_connections=None)) as client:
        try:
            for _ in range(17):
                answer = client.send(client.build_request("GET", "/status/stream"), stream=True)
                opened.append(answer)
                if answer.status_code == 503:
                    refused.set()
            assert refused.is_set()
            assert [answer.status_code for answer in opened].count(200) == 16
            assert client.get("/health").status_code == 200
        finally:
            for answer in opened:
                answer.close()
