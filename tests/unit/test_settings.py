"""The environment and what it means."""

import os
from pathlib import Path

import pytest

from sengol_api.settings import Settings, SettingsError, load, read_environment, suspects, variables

SECRET = "s3cr3t-" * 6


def message(environment, **overrides):
    with pytest.raises(SettingsError) as caught:
        load(environment, **overrides)
    return str(caught.value)


def test_nothing_set_gives_the_documented_defaults():
    settings = load({})
    assert (settings.host, settings.port, settings.environment) == ("127.0.0.1", 4000, "development")
    assert (settings.request_timeout, settings.cache_ttl, settings.cache_max_size) == (120_000, 3600, 1000)
    assert settings.cache_bytes == 128 * 1024 * 1024
    assert settings == Settings()


def test_values_are_read_from_text():
    settings = load({"PORT": "0", "CACHE_ENABLED": "false", "REQUEST_TIMEOUT": " 1500 ", "LOG_LEVEL": "debug"})
    assert (settings.port, settings.cache_enabled, settings.request_timeout, settings.log_level) == (0, False, 1500, "debug")


def test_an_empty_variable_is_no_variable():
    assert load({"PORT": "", "LOG_LEVEL": "  "}) == Settings()


def test_other_programs_variables_are_none_of_ours():
    assert load({"PATH": "/bin", "HOME": "/root", "LANG": "C", "PORTS": "x"}) == Settings()


def test_every_wrong_value_is_listed_at_once():
    text = message(
        {
            "PORT": "70000",
            "LOG_LEVEL": "loud",
            "CACHE_TTL": "an hour",
            "REQUEST_TIMEOUT": "0",
            "CACHE_ENABLED": "perhaps",
            "JWT_EXPIRES_IN": "a week",
            "VECTOR_INDEX": "in the cloud",
        }
    )
    assert text.startswith("7 settings are wrong:\n")
    for line in (
        "PORT: got '70000'; takes whole number from 0 to 65535",
        "LOG_LEVEL: got 'loud'; takes debug / error / info / warning",
        "CACHE_TTL: got 'an hour'; takes whole number from 1, in s",
        "REQUEST_TIMEOUT: got '0'; takes whole number from 1 to 86400000, in ms",
        "CACHE_ENABLED: got 'perhaps'; takes true / false",
        "JWT_EXPIRES_IN: got 'a week'; takes ",
        "VECTOR_INDEX: got 'in the cloud'; takes dvecdb / embedded / pgvector",
    ):
        assert line in text


def test_a_wrong_secret_is_listed_with_the_other_wrong_values():
    assert "PORT" in message({"PORT": "x", "JWT_SECRET": "short"})
    assert "JWT_SECRET" in message({"PORT": "x", "JWT_SECRET": "short"})
    assert "JWT_SECRET" in message({"PORT": "x", "ENVIRONMENT": "production"})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"VECTOR_INDEX": "pgvector"}, "VECTOR_INDEX: got 'pgvector'; it takes a DATABASE_URL of PostgreSQL as well"),
        ({"EMBEDDINGS": "openai"}, "EMBEDDINGS: got 'openai'; it takes an OPENAI_API_KEY as well"),
        ({"TRUSTED_PROXIES": "10.0.0.0/8, 10.0.0.0/99"}, "TRUSTED_PROXIES: got '10.0.0.0/99'; takes addresses or networks"),
        ({"OPENAI_FALLBACKS": '[{"name": "b", "api_key": "sk-canary"'}, "OPENAI_FALLBACKS: got (hidden); takes a JSON list"),
        ({"OPENAI_FALLBACKS": '[{"api_key": "sk-canary"}]'}, "OPENAI_FALLBACKS: got (hidden); each takes a name"),
        ({"OPENAI_FALLBACKS": '[{"name": "b", "key": "sk-canary"}]'}, "OPENAI_FALLBACKS: got (hidden); each takes a name"),
    ],
)
def test_settings_that_do_not_go_together_are_told_without_their_secrets(given, said):
    text = message(given)
    assert said in text
    assert "canary" not in text


def test_the_provider_makes_vectors_where_there_is_a_key():
    assert not load({}).embedded_by_provider
    assert load({"OPENAI_API_KEY": "k"}).embedded_by_provider
    assert not load({"OPENAI_API_KEY": "k", "EMBEDDINGS": "local"}).embedded_by_provider
    assert load({"OPENAI_FALLBACKS": '[{"name": "b", "model": "m"}]'}).fallbacks == [{"name": "b", "model": "m"}]


def test_one_wrong_value_is_told_in_the_singular():
    assert message({"PORT": "x"}).startswith("1 setting is wrong:\n  PORT: got 'x'")


def test_production_does_not_start_without_a_secret_of_its_own():
    assert "JWT_SECRET" in message({"ENVIRONMENT": "production"})
    assert "at least 32" in message({"ENVIRONMENT": "production", "JWT_SECRET": "x" * 31})
    assert load({"ENVIRONMENT": "production", "JWT_SECRET": "x" * 32}).jwt_secret == "x" * 32


def test_a_short_secret_is_refused_everywhere():
    assert "JWT_SECRET: got 5 characters" in message({"JWT_SECRET": "short"})


def test_no_secret_is_shown_in_a_message():
    text = message({"JWT_SECRET": "hunter2", "OPENAI_API_KEY": "sk-visible", "PORT": "x"})
    assert "hunter2" not in text
    assert "sk-visible" not in text


def test_the_command_line_counts_more_than_the_environment():
    settings = load({"PORT": "5000", "HOST": "0.0.0.0"}, port=6000, host=None)
    assert (settings.port, settings.host) == (6000, "0.0.0.0")
    assert "PORT: got '70000'" in message({}, port=70_000)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("12h", 43_200), ("7d", 604_800)])
def test_the_life_of_a_token_is_read_in_seconds(text, seconds):
    assert load({"JWT_EXPIRES_IN": text}).token_seconds == seconds


@pytest.mark.parametrize("text", ["0d", "-1d", "7", "d", "7w", "1.5h", "7d\n7d", "99999999d"])
def test_a_life_of_another_form_is_refused(text):
    assert "JWT_EXPIRES_IN" in message({"JWT_EXPIRES_IN": text})


def test_the_database_is_a_file_in_the_data_directory_unless_told_otherwise(tmp_path):
    assert load({"DATA_DIR": str(tmp_path)}).database == f"sqlite:///{tmp_path / 'sengol.sqlite3'}"
    assert load({"DATABASE_URL": "postgresql://u@h/n"}).database == "postgresql://u@h/n"


def test_the_home_directory_may_be_written_short(monkeypatch):
    monkeypatch.setenv("HOME", "/home/reviewer")
    assert load({"DATA_DIR": "~/data"}).data_path == Path("/home/reviewer/data")


@pytest.mark.parametrize(("text", "origins"), [("", ()), ("*", ("*",)), (" https://a , https://b ,", ("https://a", "https://b"))])
def test_origins_are_a_list(text, origins):
    assert load({"ALLOWED_ORIGINS": text}).origins == origins


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("CACHE_TLL", "CACHE_TTL"),
        ("CIRCUITBREAKER_TIMEOUT", "CIRCUIT_BREAKER_TIMEOUT"),
        ("JWT_SECRETS", "JWT_SECRET"),
        ("REQUEST_TIMEOUT_MS", "REQUEST_TIMEOUT"),
        ("OPENAI_APIKEY", "OPENAI_API_KEY"),
        ("port", "PORT"),
    ],
)
def test_a_misspelt_name_is_pointed_at(name, meant):
    assert suspects({name: "1"}) == [(name, meant)]


@pytest.mark.parametrize(
    "name", ["PATH", "HOSTNAME", "LOGNAME", "REQUESTS_CA_BUNDLE", "DATADOG_TRACE", "PORT", "CACHE_TTL", "OPENAI_ORG"]
)
def test_a_right_or_foreign_name_is_no_suspect(name):
    assert suspects({name: "1"}) == []


def test_the_env_file_is_read_and_the_environment_wins(tmp_path, monkeypatch):
    (tmp_path / ".env").write_text("PORT=5000\nHOST='0.0.0.0' # all\nCACHE_TTL=5\nEMPTY\n")
    monkeypatch.setenv("CACHE_TTL", "7")
    monkeypatch.delenv("PORT", raising=False)
    monkeypatch.delenv("HOST", raising=False)
    settings = load({k: v for k, v in read_environment(tmp_path).items() if k in {"PORT", "HOST", "CACHE_TTL"}})
    assert (settings.port, settings.host, settings.cache_ttl) == (5000, "0.0.0.0", 7)


def test_without_an_env_file_the_environment_is_all(tmp_path):
    assert read_environment(tmp_path) == dict(os.environ)


def test_every_variable_says_what_it_takes_and_is_for():
    for variable in variables():
        assert variable.name == variable.field.upper()
        assert variable.about
        assert variable.takes
        assert variable.default == getattr(Settings(), variable.field)
    assert {v.name for v in variables() if v.secret} == {
        "JWT_SECRET",
        "JWT_PREVIOUS_SECRETS",
        "DATABASE_URL",
        "REDIS_URL",
        "OPENAI_API_KEY",
        "OPENAI_FALLBACKS",
    }


def test_keys_that_only_check_are_a_list_each_of_them_long_enough_and_none_is_shown():
    first, second = "a" * 32, "b" * 40
    assert load({"JWT_PREVIOUS_SECRETS": f"{first}, {second},"}).previous_secrets == (first, second)
    with pytest.raises(SettingsError) as caught:
        load({"JWT_PREVIOUS_SECRETS": f"{first},canary"})
    assert "JWT_PREVIOUS_SECRETS: got a key of 6 characters; each takes at least 32" in str(caught.value)
    assert "canary" not in str(caught.value)


def test_what_a_replica_cannot_do_without_is_a_list_that_may_be_empty():
    assert load({}).required == ("database",)
    assert load({"READINESS_REQUIRES": " database , dvecdb"}).required == ("database", "dvecdb")
    assert load({"READINESS_REQUIRES": ","}).required == ()
