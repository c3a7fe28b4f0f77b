"""Settings: which layer wins, what is refused, and that nothing secret shows."""

from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest

from harness.errors import BadSettings
from harness.pricing import Price
from harness.sections import HttpServer, StdioServer
from harness.settings import CHILD_ENVIRONMENT, Settings, default_home, dropped_from_child, from_environment
from harness.settings_reference import page

KEY = "sk-ant-not-a-real-key"
DSN = "postgresql://me:hidden@127.0.0.1/x"


def project(folder: Path, text: str) -> Path:
    """Make a project with these settings."""
    (folder / "harness.toml").write_text(text)
    return folder


def test_defaults_need_no_file_and_no_environment(tmp_path: Path) -> None:
    """An empty project in an empty environment is the defaults."""
    settings = from_environment(tmp_path, environ={})
    assert settings == Settings() == from_environment(None, environ={})
    assert settings.dsn is None
    assert settings.upstream.api_key is None
    assert settings.limits.max_concurrent == 4


def test_the_later_layer_wins(tmp_path: Path) -> None:
    """Defaults, file, environment, options: each beats the one before, key by key."""
    project(
        tmp_path,
        'tenant = "file"\ndsn = "a"\nresult_limit = 5000\n[limits]\nmax_concurrent = 2\nmax_steps = 9\n',
    )
    environ = {"HARNESS_TENANT": "environment", "HARNESS_DSN": "b"}
    options = {"tenant": "option", "limits.max_concurrent": 3, "limits.max_cost_usd": None}
    settings = from_environment(tmp_path, options, environ)
    assert settings.tenant == "option"
    assert settings.dsn is not None
    assert settings.dsn.get_secret_value() == "b"
    assert settings.result_limit == 5000
    assert settings.limits.max_concurrent == 3
    assert settings.limits.max_steps == 9
    assert settings.limits.max_cost_usd == Settings().limits.max_cost_usd


def test_the_environment_gives_what_it_is_said_to_give() -> None:
    """Every variable in the list reaches its setting."""
    settings = from_environment(
        environ={
            "HARNESS_HOME": "/srv/harness",
            "HARNESS_DSN": DSN,
            "HARNESS_TENANT": "acme",
            "ANTHROPIC_BASE_URL": "http://127.0.0.1:9/",
            "ANTHROPIC_API_KEY": KEY,
            "LANGFUSE_PUBLIC_KEY": "pk",
            "LANGFUSE_SECRET_KEY": "sk",
            "LANGFUSE_BASE_URL": "https://langfuse.example.com",
        }
    )
    assert settings.home == Path("/srv/harness")
    assert settings.tenant == "acme"
    assert settings.upstream.base_url == "http://127.0.0.1:9"
    assert settings.upstream.api_key is not None
    assert settings.upstream.api_key.get_secret_value() == KEY
    assert settings.langfuse.public_key == "pk"
    assert settings.langfuse.base_url == "https://langfuse.example.com"


def test_an_empty_variable_counts_as_absent() -> None:
    """`HARNESS_DSN=` means no DSN."""
    assert from_environment(environ={"HARNESS_DSN": "", "ANTHROPIC_BASE_URL": ""}) == Settings()


def test_the_process_environment_is_read_when_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers need not pass it."""
    monkeypatch.setenv("HARNESS_TENANT", "acme")
    assert from_environment().tenant == "acme"
    assert "HARNESS_TENANT" in dropped_from_child()


def test_no_secret_shows(tmp_path: Path) -> None:
    """Neither in repr nor in str nor in a dump."""
    project(tmp_path, '[mcp_servers.papers]\ncommand = "papers"\nenv = { TOKEN = "${MY_TOKEN}" }\n')
    environ = {
        "ANTHROPIC_API_KEY": KEY,
        "HARNESS_DSN": DSN,
        "LANGFUSE_SECRET_KEY": "sk-lf-secret",
        "MY_TOKEN": "token-secret",
    }
    settings = from_environment(tmp_path, environ=environ)
    for text in (repr(settings), str(settings), settings.model_dump_json(), repr(settings.model_dump())):
        for secret in (KEY, "hidden", "sk-lf-secret", "token-secret"):
            assert secret not in text


def test_settings_do_not_change() -> None:
    """They are frozen."""
    with pytest.raises(ValueError, match="frozen"):
        Settings().limits.max_steps = 3


def test_mcp_servers_come_as_processes_and_as_urls(tmp_path: Path) -> None:
    """`command` or `url` tells them apart; variables are filled in."""
    project(
        tmp_path,
        '[mcp_servers.papers]\ncommand = "papers"\nargs = ["-q"]\nenv = { TOKEN = "${MY_TOKEN}" }\n'
        '[mcp_servers.wiki]\nurl = "https://wiki.example.com/mcp"\n'
        'headers = { Authorization = "Bearer ${MY_TOKEN}" }\n'
        '[mcp_servers.old]\ntype = "sse"\nurl = "https://old.example.com/sse"\n',
    )
    servers = from_environment(tmp_path, environ={"MY_TOKEN": "t"}).mcp_servers
    papers, wiki, old = servers["papers"], servers["wiki"], servers["old"]
    assert isinstance(papers, StdioServer)
    assert (papers.args, papers.env["TOKEN"].get_secret_value()) == (("-q",), "t")
    assert isinstance(wiki, HttpServer)
    assert (wiki.type, wiki.headers["Authorization"].get_secret_value()) == ("http", "Bearer t")
    assert isinstance(old, HttpServer)
    assert old.type == "sse"


def test_a_home_in_the_file_is_relative_to_the_project(tmp_path: Path) -> None:
    """It means the same from every working directory."""
    assert from_environment(project(tmp_path, 'home = "state"'), environ={}).home == tmp_path / "state"


def test_models_are_found_by_part_or_named_outright() -> None:
    """A part gives its model; anything else is a model's id."""
    models = Settings().models
    assert models.named("lead") == models.lead
    assert models.named("claude-haiku-4-5") == "claude-haiku-4-5"


def test_the_home_is_the_users_data_folder_but_not_for_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unprivileged Postgres could not enter root's own home."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert default_home() == Path("/var/lib/subagent-harness")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert default_home() == platformdirs.user_data_path("subagent-harness")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tenant = \n", "is not valid TOML; mend it: Invalid value (at line 1"),
        ("tennant = 'x'", "tennant: is not known (did you mean 'tenant'?)."),
        ("[limit]\nmax_steps = 3", "limit: is not known (did you mean 'limits'?)."),
        ("[limits]\nmax_stepz = 3", "limits.max_stepz: is not known (did you mean 'max_steps'?)."),
        (
            "[limits]\nmax_concurrent = 0",
            "limits.max_concurrent: should be greater than or equal to 1 (got 0).",
        ),
        ("[limits]\nmax_cost_usd = 'much'", "limits.max_cost_usd: should be a valid number"),
        ("limits = 3", "limits: should be an object of keys and values (got 3)."),
        ("upstream = 3", "upstream: should be an object"),
        ("tracing.capture = 'all'", "tracing.capture: should be 'full', 'metadata' or 'none' (got 'all')."),
        ("result_limit = 3", "result_limit: should be greater than or equal to 1000"),
        ("[upstream]\nbase_url = 'localhost:80'", "upstream.base_url: should be a URL that begins with http"),
        (
            "[upstream]\napi_key = 'sk'",
            "upstream.api_key does not belong in a file; remove it and set ANTHROPIC_API_KEY",
        ),
        ("[langfuse]\nsecret_key = 'sk'", "remove it and set LANGFUSE_SECRET_KEY"),
        ("[models]\nresearcher = 'x'", "models.researcher: is not known (did you mean 'research'?)."),
        ("[models]\nfallback = 'research'", "models.fallback: should be a model's id, not one of the parts."),
        ("[models]\nfallback = ''", "models.fallback: should be a model's id, without spaces."),
        ("[prices.x]\ninput = 1", "prices.x.output: is required."),
        (
            "[prices.x]\ninput = -1\noutput = 1",
            "prices.x.input: should be greater than or equal to 0 (got -1).",
        ),
        ("[prices.x]\ninput = inf\noutput = 1", "prices.x.input: should be a finite number (got inf)."),
        (
            "[prices.x]\ninput = 1\noutput = 1\nouput = 1",
            "prices.x.ouput: is not known (did you mean 'output'?).",
        ),
        ("[prices.'a b']\ninput = 1\noutput = 1", "prices.a b: should be a model's id, without spaces."),
        ("[prices]\nx = 3", "prices.x: should be an object of keys and values (got 3)."),
        ("[logs]\njsno = true", "logs.jsno: is not known (did you mean 'json'?)."),
        ("[logs]\nkeep_days = 0", "logs.keep_days: should be greater than or equal to 1 (got 0)."),
        ("[hooks]\norders = []", "hooks.orders: is not known (did you mean 'order'?)."),
        (
            "[mcp_servers.x]\ncomand = 'x'",
            "mcp_servers.x.command: is required; mcp_servers.x.comand: is not known (did you",
        ),
        ("[mcp_servers.x]\nurl = 'x'", "mcp_servers.x.url: should be a URL"),
        (
            "[mcp_servers.corpus]\ncommand = 'x'",
            "'corpus' is a toolset of the harness; give the server another name.",
        ),
        ("[mcp_servers.'a b']\ncommand = 'x'", "'a b' is no plain name; give the server another name."),
        (
            "[mcp_servers.x]\ncommand = 'x'\nenv = {T = '${NOT_SET}'}",
            "mcp_servers.x.env.T: the variable NOT_SET is not set; export it first.",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_file_and_key(text: str, says: str, tmp_path: Path) -> None:
    """One line that names the file, the key and what is wrong."""
    environ = {"ANTHROPIC_BASE_URL": "http://127.0.0.1:1"} if text.startswith("upstream =") else {}
    with pytest.raises(BadSettings) as refused:
        from_environment(project(tmp_path, text), environ=environ)
    assert says in str(refused.value)
    assert str(refused.value).startswith(str(tmp_path / "harness.toml"))
    assert "\n" not in str(refused.value)


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    """The blame goes where the value came from, not to the file."""
    with pytest.raises(
        BadSettings, match=r"^the variable ANTHROPIC_BASE_URL: upstream\.base_url: should be a URL"
    ):
        from_environment(project(tmp_path, ""), environ={"ANTHROPIC_BASE_URL": "example.com"})


def test_a_wrong_option_is_named() -> None:
    """Options are checked like everything else, known or not."""
    with pytest.raises(
        BadSettings, match=r"^an option: limits\.max_cost_usd: should be greater than 0 \(got -1"
    ):
        from_environment(options={"limits.max_cost_usd": -1.0}, environ={})
    with pytest.raises(
        BadSettings, match=r"^an option: limits\.max_cost: is not known \(did you mean 'max_cost_usd'"
    ):
        from_environment(options={"limits.max_cost": 1.0}, environ={})


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are named as such."""
    (tmp_path / "harness.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadSettings, match=r"harness\.toml cannot be read as UTF-8 text"):
        from_environment(tmp_path, environ={})


def test_agents_inherit_nothing_but_the_plain() -> None:
    """Keys, tokens, DSNs, proxies and what nobody thought of are dropped; the locale and the path stay."""
    secret = {
        name: "x"
        for name in (
            "ANTHROPIC_API_KEY",
            "ANTHROPIC_AUTH_TOKEN",
            "AWS_SECRET_ACCESS_KEY",
            "GITHUB_TOKEN",
            "HARNESS_DSN",
            "HTTPS_PROXY",
            "LANGFUSE_SECRET_KEY",
            "PGPASSWORD",
            "SSH_AUTH_SOCK",
            "https_proxy",
        )
    }
    plain = {
        "PATH": "/bin",
        "HOME": "/home/me",
        "LC_ALL": "C",
        "LANG": "C",
        "TZ": "UTC",
        "SSL_CERT_FILE": "/x",
    }
    assert dropped_from_child(environ={**plain, **secret}) == tuple(sorted(secret))


def test_a_direct_agent_keeps_the_persons_login_only() -> None:
    """Without the gateway the CLI needs the person's credentials; the harness's own it still does not get."""
    environ = {
        name: "x"
        for name in ("ANTHROPIC_API_KEY", "AWS_PROFILE", "HARNESS_DSN", "LANGFUSE_SECRET_KEY", "PGPASSWORD")
    }
    assert dropped_from_child(True, environ) == ("HARNESS_DSN", "LANGFUSE_SECRET_KEY", "PGPASSWORD")


def test_no_name_on_the_list_smells_of_a_secret() -> None:
    """The list itself stays plain."""
    for name in CHILD_ENVIRONMENT:
        assert not any(word in name for word in ("KEY", "TOKEN", "SECRET", "PASS", "DSN", "AUTH", "PROXY"))


def test_every_setting_is_described() -> None:
    """Each key of each section says what it means."""
    places = [Settings, StdioServer, HttpServer, Price]
    places += [field.default_factory for field in Settings.model_fields.values() if field.default_factory]  # type: ignore[misc]
    for place in places:
        for name, field in getattr(place, "model_fields", {}).items():
            section = hasattr(field.annotation, "model_fields") or name in ("mcp_servers", "prices")
            assert field.description or section, f"{place.__name__}.{name}"


def test_the_reference_page_is_up_to_date() -> None:
    """docs/settings.md is what the code says; make it anew with `python -m harness.settings_reference`."""
    written = Path(__file__).parent.parent / "docs" / "settings.md"
    assert written.read_text("utf-8") == page()
