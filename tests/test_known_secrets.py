"""Which values are taken for secrets: those of variables named so, and none that stand in every text."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.settings import Settings, from_environment, known_secrets


@pytest.mark.parametrize(
    "name",
    [
        "MY_SERVICE_TOKEN",
        "PGPASSWORD",
        "AWS_SECRET_ACCESS_KEY",
        "APIKEY",
        "SENTRY_DSN",
        "DB_PASS",
        "MYSQL_PWD",
    ],
)
def test_a_variable_named_like_a_secret_holds_one(name: str) -> None:
    """By the end of its name or of a word in it."""
    assert known_secrets(None, {name: "Quiet-Heron-41"}) == {"Quiet-Heron-41"}


@pytest.mark.parametrize(
    "name", ["PWD", "KEYBOARD", "TOKENIZERS", "LANGFUSE_PUBLIC_KEY", "SSH_AUTH_SOCK", "HOME"]
)
def test_other_variables_hold_none(name: str) -> None:
    """A name that only begins alike is another name."""
    assert known_secrets(None, {name: "Quiet-Heron-41"}) == frozenset()


@pytest.mark.parametrize(
    "value",
    [
        *("true", "default", "environment", "postgres", "4096", "2025-01-01", "short-1"),
        *("/run/secrets/token", "~/.ssh/id_rsa", "./key.pem", "db.example.org", "https://example.org/token"),
    ],
)
def test_what_stands_in_many_texts_is_no_secret(value: str) -> None:
    """Words, numbers, paths, hosts: to redact them would spoil every document."""
    assert known_secrets(None, {"MY_TOKEN": value}) == frozenset()


def test_a_password_in_a_url_is_one_whatever_the_name() -> None:
    """As it is written and as it is meant; the rest of the URL is none."""
    environ = {"DATABASE_URL": "postgres://me:hun%20ter2@db/x", "X": "host=db password='quiet heron 4'"}
    assert known_secrets(None, environ) == {"hun%20ter2", "hun ter2", "quiet heron 4"}


def test_the_settings_secrets_are_known(tmp_path: Path) -> None:
    """Keys, the DSN's password, the headers of a receiver, and what MCP servers are given."""
    (tmp_path / "harness.toml").write_text(
        'dsn = "postgresql://me:dsn-pass-1@127.0.0.1/x"\n'
        "[mcp_servers.a]\ncommand = 'x'\n"
        "env = { A_TOKEN = 'stdio-token-1', MODE = 'production', MODEL = 'claude-sonnet-4-5-20250929' }\n"
        "[mcp_servers.b]\nurl = 'http://127.0.0.1/mcp'\n"
        "headers = { Authorization = 'Bearer header-token-1', X-Trace = 'a1b2c3d4e5f60718' }\n"
    )
    environ = {
        "ANTHROPIC_API_KEY": "any key",
        "LANGFUSE_SECRET_KEY": "any other",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-api-key=otlp-key-1,x-scope=tenant",
    }
    settings = from_environment(tmp_path, environ=environ)
    assert known_secrets(settings, {}) == {
        *("any key", "any other", "dsn-pass-1", "otlp-key-1"),
        *("stdio-token-1", "header-token-1", "a1b2c3d4e5f60718"),
    }
    assert known_secrets(Settings(), {}) == frozenset()
