"""Options: what makes sense, and that no secret shows."""

import dataclasses

import pytest

from sengol_api.adapters.openai import OpenAIOptions, Price, Provider
from sengol_api.adapters.openai.options import OPENAI
from sengol_api.adapters.openai.secret import Secret
from sengol_api.resilience import Hedge, OptionsError

KEY = "sk-CANARY-1234567890"


def test_a_key_is_shown_nowhere():
    options = OpenAIOptions(
        api_key=KEY, fallbacks=(Provider(name="local", base_url="http://localhost:1/v1", model="m", api_key=KEY),)
    )
    shown = f"{options!r} {options.chain()!r} {options.api_key} {options.api_key!r} {dataclasses.replace(options)!r}"
    assert "CANARY" not in shown
    assert options.chain()[0].key == KEY


@pytest.mark.parametrize("key", ["with blank CANARY", "CANARY\n", "CANARYé", "CANARY" * 1000])
def test_a_key_that_no_header_can_carry_is_refused_unseen(key):
    with pytest.raises(OptionsError) as caught:
        OpenAIOptions(api_key=key)
    assert "api_key" in str(caught.value)
    assert "CANARY" not in str(caught.value)


def test_secrets_compare_by_what_they_hold():
    assert Secret("a") == Secret("a") != Secret("b")
    assert hash(Secret("a")) == hash(Secret("a"))
    assert Secret("a") != "a"
    assert not Secret("")
    assert repr(Secret("")) == "Secret(empty)"


@pytest.mark.parametrize(
    "url",
    [
        "api.example.com/v1",
        "ftp://example.com",
        "http://",
        "http:///v1",
        "https://exa mple.com",
        "http://[bad",
        "http://h:99999",
        "//h/v1",
    ],
)
def test_an_address_that_cannot_be_called_is_refused(url):
    with pytest.raises(OptionsError, match="base_url takes an http or https address"):
        Provider(name="x", base_url=url, model="m")


@pytest.mark.parametrize(
    "url", ["https://user:CANARY@h/v1", "https://CANARY@h/v1", "https://h/v1?key=CANARY", "https://h/v1#CANARY"]
)
def test_an_address_that_holds_a_secret_is_refused_without_being_shown(url):
    with pytest.raises(OptionsError) as caught:
        OpenAIOptions(base_url=url).chain()
    assert "base_url takes no user, password, query or fragment" in str(caught.value)
    assert "CANARY" not in str(caught.value)


def test_openai_itself_takes_no_calls_without_a_key_and_others_may():
    with pytest.raises(OptionsError, match="OPENAI_API_KEY"):
        OpenAIOptions().chain()
    (local,) = OpenAIOptions(base_url="http://localhost:8080/v1").chain()
    assert (local.key, local.url) == ("none", "http://localhost:8080/v1")
    assert OpenAIOptions(api_key=KEY).chain()[0].url == OPENAI


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"fallbacks": (Provider(name="primary", base_url="http://h/v1", model="m"),)}, "two providers are called primary"),
        ({"max_input_tokens": 500, "max_request_tokens": 400}, "above max_request_tokens"),
        ({"timeout": 0}, "timeout"),
        ({"max_retries": -1}, "max_retries"),
        ({"max_retries": 21}, "max_retries"),
        ({"reserve": 1.0}, "reserve"),
        ({"fallbacks": [1]}, "fallbacks"),
        ({"prices": {"m": 5}}, "prices"),
        ({"provider": "Has Blanks"}, "provider"),
        ({"model": "line\nbreak"}, "model"),
        ({"dimensions": 0}, "dimensions"),
        ({"breaker": None}, "breaker"),
        ({"hedge": 1}, "hedge"),
        ({"count_tokens": 3}, "count_tokens"),
    ],
)
def test_options_that_make_no_sense_are_told(fields, text):
    with pytest.raises(OptionsError, match=text):
        OpenAIOptions(api_key=KEY, **fields)


def test_a_provider_without_any_model_is_of_no_use():
    with pytest.raises(OptionsError, match="nothing to ask"):
        Provider(name="x", base_url="http://h/v1")


def test_options_take_policies_and_prices():
    options = OpenAIOptions(api_key=KEY, hedge=Hedge(idempotent=True), prices={"m": Price(1.0, 2.0)})
    assert options.changed(timeout=5.0).timeout == 5.0
    with pytest.raises(ValueError, match="from 0 on"):
        Price(-1.0)


def test_every_option_says_what_it_takes_and_means():
    for kind in (OpenAIOptions, Provider):
        for field in dataclasses.fields(kind):
            assert field.metadata["allowed"].words, field.name
            assert field.metadata["meaning"], field.name
