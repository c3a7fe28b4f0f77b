"""Redaction: every form of a secret goes, ordinary text stays, and nothing is slow, raised or done twice."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
import uuid
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.redaction import FAILED, REDACTED, Redactor, names_a_secret
from tests.checkout import ROOT

PEM = """-----BEGIN RSA PRIVATE KEY-----
MIIEowIBAAKCAQEAv0kC4nArYpLA1nEtExTxXxXx0123456789abcdefABCDEFgh
Q2FuYXJ5Q2FuYXJ5Q2FuYXJ5Q2FuYXJ5Q2FuYXJ5Q2FuYXJ5Q2FuYXJ5Q2FuYXJ5
QWxtb3N0VGhlcmU=
-----END RSA PRIVATE KEY-----"""

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkiLCJpYXQiOjE1MTYyMzkwMjJ9.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFU"

FORMS = {
    "anthropic": "sk-ant-api03-Qm9yaW5n_Y2FuYXJ5-AAAA",
    "langfuse": "sk-lf-0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
    "generic": "sk-Zk3vQ9xW2mT7bR5nY8cL",
    "project": "sk-proj-Zk3vQ9-xW2mT7bR5nY8cL_1a2b3c4d",
    "aws": "AKIAIOSFODNN7CANARY1",
    "aws session": "ASIAIOSFODNN7CANARY1",
    "github": "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "github oauth": "gho_16C7e42F292c6912E7710c838347Ae178B4a",
    "github fine": "github_pat_11ABCDEFG0abcdefghijkl_MNOPQRSTUVWXYZ",
    "slack": "xoxb-123456789012-abcdefGHIJKL",
    "google": "AIzaSyA-1234567890abcdefghijklmnopqrstuv",
    "gitlab": "glpat-abcDEF123456-789_xyz",
    "npm": "npm_abcdefghijklmnopqrstuvwxyz0123456789",
    "jwt": JWT,
    "pem": PEM,
}

AROUND = {
    "alone": "{}",
    "prose": "Use {} for it.",
    "quoted": "key='{}',",
    "a line of JSON in a text": '{{"text": "first\\n{}\\nlast"}}',
    "after punctuation": "({}); and so on",
    "environment": "X={}\nY=2",
}


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_known_by_its_form(form: str, around: str) -> None:
    """Wherever it stands, and what stands around it stays."""
    assert Redactor().text(AROUND[around].format(FORMS[form])) == AROUND[around].format(REDACTED)


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("postgresql://me:hun/ter2@db:5432/x", None),
        ("postgresql://me:hunter2@db:5432/x", "postgresql://me:[REDACTED]@db:5432/x"),
        ("redis://:hunter2@cache", "redis://:[REDACTED]@cache"),
        ("https://u:p@ss@host/x", "https://u:[REDACTED]@host/x"),
        ("host=db password=hunter2 dbname=x", "host=db password=[REDACTED] dbname=x"),
        ("host=db password='hunter 2' dbname=x", "host=db password='[REDACTED]' dbname=x"),
        ("Authorization: Bearer abc123.def456~x", "Authorization: Bearer [REDACTED]"),
        ('"Authorization": "Basic dXNlcjpwYXNz"', '"Authorization": "Basic [REDACTED]"'),
        ('{"password": "swordfish"}', '{"password": "[REDACTED]"}'),
        ('{"password": "sword\\"fish"}', '{"password": "[REDACTED]"}'),
        (r'{"a": "{\"api_key\": \"abc123XYZ9\"}"}', r'{"a": "{\"api_key\": \"[REDACTED]\"}"}'),
        ("MY_SERVICE_TOKEN=canary-1234", "MY_SERVICE_TOKEN=[REDACTED]"),
        ("https://x.org/?access_token=ab12cd34ef&n=1", "https://x.org/?access_token=[REDACTED]&n=1"),
    ],
)
def test_a_secret_is_known_by_its_place(text: str, redacted: str | None) -> None:
    """Only the secret is replaced: the rest of a DSN or a header tells what went wrong."""
    assert Redactor().text(text) == (redacted or text)


@pytest.mark.parametrize(
    "name", ["password", "api_key", "apiKey", "X-Api-Key", "MY_TOKEN", "Set-Cookie", "dsn"]
)
def test_a_secret_is_known_by_its_name(name: str) -> None:
    """In a structure the name is enough, in a list below it too."""
    assert names_a_secret(name)
    assert Redactor().value({"a": [{name: "swordfish"}, {name: ["x", "y"]}]}) == {
        "a": [{name: REDACTED}, {name: [REDACTED, REDACTED]}]
    }


def test_names_and_values_that_only_sound_secret_stay() -> None:
    """Counts, places in lists, schemas and empty values are none."""
    ordinary: dict[str, Any] = {
        "max_tokens": 4096,
        "input_tokens": 12,
        "tokens": "many",
        "token": 7,
        "next_page_token": "CAUQAA",
        "pad_token": "<pad>",
        "secretary": "Ann",
        "password": "",
        "secret": None,
        "properties": {"password": {"type": "string", "description": "The word."}},
        "required": ["password", "token"],
    }
    assert Redactor().value(ordinary) == ordinary


VALUE = 'pass/word "é\n1'


@pytest.mark.parametrize(
    "written",
    [
        VALUE,
        quote(VALUE, safe=""),
        json.dumps(VALUE)[1:-1],
        json.dumps(VALUE, ensure_ascii=False)[1:-1],
        base64.b64encode(VALUE.encode()).decode(),
    ],
)
def test_a_known_value_goes_in_every_form(written: str) -> None:
    """As it is, in a URL, in JSON, in base64."""
    assert written not in Redactor([VALUE]).text(f"it is {written}!")


def test_known_values_are_replaced_the_longest_first_and_short_ones_never() -> None:
    """A value that begins like another one leaves nothing over; "x" would redact the whole language."""
    assert Redactor(["secret", "secret-longer", "the"]).text("the secret-longer, the secret") == (
        "the [REDACTED], the [REDACTED]"
    )


def test_a_structure_stays_valid_and_whole() -> None:
    """Kinds, order and what is no secret are as before, and the given structure is not touched."""
    given = {"b": (1, 2.5, None, True), "a": ["ghp_" + "a1" * 18, {"k": "v"}], "x\ud83d": "half"}
    before = repr(given)
    found = Redactor().value(given)
    assert repr(given) == before
    assert list(found) == ["b", "a", "x\ud83d"]
    assert found == {**given, "a": [REDACTED, {"k": "v"}]}
    assert json.loads(json.dumps(found))["a"] == [REDACTED, {"k": "v"}]


def test_the_apis_own_bytes_stay() -> None:
    """A signature that is altered is refused by the model; what only claims to be one is not spared."""
    blob = "AKIAIOSFODNN7CANARY1" + base64.b64encode(bytes(range(200))).decode()
    blocks = [
        {"type": "thinking", "thinking": "Hm.", "signature": blob},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": blob}},
    ]
    assert Redactor(["IOSFODNN7CANARY1"]).value(blocks) == blocks
    assert Redactor().value({"type": "base64", "data": FORMS["anthropic"]})["data"] == REDACTED


CODE = """
def connect(password=None, token: str = "default", api_key=os.environ["API_KEY"]):
    token = next(tokens)
    return client(password=password, token=self.token, secret=get_secret("x"), key="primary key")
    headers = {"Authorization": f"Bearer {token}", "x-api-key": settings.api_key}
    url = f"https://{user}@example.org:8443/a@b?c=d"
    git clone git@github.com:owner/name.git; task-based-0123456789abcdef; disk-by-uuid-0a1b2c3d4e5f60718293
    curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8080/v1 --max-tokens=4096 --tokenizer=cl100k_base
    assert eyJ and len("-----BEGIN PRIVATE KEY-----") == 27
"""

ORDINARY = {
    "code": CODE,
    "sha256": hashlib.sha256(b"x").hexdigest(),
    "uuid": str(uuid.UUID(int=7**40)),
    "an image": base64.b64encode(bytes(range(256)) * 40).decode(),
    "ids": "toolu_01A09q90qw90lq917835lq9 msg_013Zva2CMHLNnjNjJKqJ2EKD req_011CSHoEeqs5C35K2UUqR7Fy",
    "prose": "The bearer of this token keeps a secret: the password is a word. Basic authentication follows.",
    "links": "See https://example.org/a:b/c@d and mailto:someone@example.org, or http://localhost:3000/@user.",
    "numbers": "input_tokens=1200 output_tokens=50 cost_usd=0.0123 page_token=CAUQAA12345",
}


@pytest.mark.parametrize("kind", ORDINARY)
def test_ordinary_text_stays(kind: str) -> None:
    """A tool for research may not eat its documents."""
    assert Redactor().text(ORDINARY[kind]) == ORDINARY[kind]
    assert Redactor().value({"x": ORDINARY[kind]}) == {"x": ORDINARY[kind]}


def test_the_projects_own_pages_and_code_stay() -> None:
    """As much technical prose and code as is at hand; the tests are left out, for they hold made-up keys."""
    redactor = Redactor()
    about = re.compile(r"secrets\.md|redaction\.py")
    changed = [
        f"{path.relative_to(ROOT)}: {line}"
        for pattern in ("*.md", "docs/*.md", "harness/**/*.py", "harness/**/*.sql", "subagents/**/*")
        for path in sorted(ROOT.glob(pattern))
        if path.is_file() and not about.search(path.name) and "__pycache__" not in path.parts
        for line in path.read_text("utf-8").splitlines()
        if redactor.text(line) != line
    ]
    assert changed == []


PIECES = [*FORMS.values(), *ORDINARY.values(), VALUE, "known-value", REDACTED, "REDACTED", "[RED"]
PIECES += [
    "password=",
    "token='",
    '"',
    "'",
    "\\",
    "\\n",
    "://",
    "@",
    "Bearer ",
    "=",
    ":",
    " ",
    "u:",
    "eyJ",
    "sk-",
]
TEXTS = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=8)), max_size=12).map("".join)


@given(TEXTS)
def test_redacting_twice_is_redacting_once(text: str) -> None:
    """A redacted transcript comes back in a request and is redacted again."""
    redactor = Redactor([VALUE, "known-value", "REDACTED", "value-of"])
    once = redactor.text(text)
    assert redactor.text(once) == once
    assert Redactor([VALUE, "known-value", "REDACTED", "value-of"]).text(once) == once


@given(
    st.recursive(
        st.one_of(st.none(), st.integers(), TEXTS),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.dictionaries(st.sampled_from(["password", "a", "type", "tokens"]), inner, max_size=3),
        ),
        max_leaves=8,
    )
)
def test_redacting_a_structure_twice_is_redacting_it_once(value: Any) -> None:
    """The same for structures, whose JSON can be read back."""
    redactor = Redactor(["known-value"])
    once = redactor.value(value)
    assert redactor.value(once) == once
    assert json.loads(json.dumps(once)) == once


def test_what_cannot_be_looked_through_is_replaced_whole() -> None:
    """A structure without end raises nothing and shows nothing."""
    endless: list[Any] = ["sk-ant-canary-canary"]
    endless.append(endless)
    assert Redactor().value(endless) == FAILED
    not_a_text: Any = 7
    assert Redactor().text(not_a_text) == FAILED


ADVERSARIAL = [
    *(
        "://",
        "://a",
        "://a:",
        "://a:b",
        "a:b@",
        "eyJ",
        "eyJa.",
        "eyJaaaaaa.",
        "-eyJaaaaaaa",
        "\\neyJaaaaaaaa",
    ),
    *("sk-", "sk-a1", "\\nsk-", "sk-ant-", "xoxa-", "AIza", "-----BEGIN RSA PRIVATE KEY-----"),
    *("-----BEGIN PRIVATE KEY----- \n", "-----BEGIN PRIVATE KEY-----A: b\n"),
    *("-----BEGIN PRIVATE KEY-----" + "A" * 20, "Bearer ", "Bearer a", "Bearer a.", "Authorization: Basic "),
    *(
        "password=",
        "password='",
        'password="',
        'password="\\',
        'password=\\"',
        "token=",
        'token: "',
        "token=a",
    ),
    *("api_key=", "secret=a", 'secret=>"a\\"', " ", "\\", '"', "\n"),
]


@pytest.mark.parametrize("piece", ADVERSARIAL)
def test_no_text_takes_more_than_its_length(piece: str) -> None:
    """Eight times the text takes about eight times as long, not sixty-four: no pattern runs wild."""

    def took_s(times: int) -> float:
        text = piece * times
        best = 9.0
        for _ in range(3):
            fresh = Redactor()
            began = time.process_time()
            fresh.text(text)
            best = min(best, time.process_time() - began)
        return best

    small, large = took_s(20_000 // len(piece)), took_s(160_000 // len(piece))
    assert large < 28 * small + 0.01, f"{small * 1e3:.1f} ms became {large * 1e3:.1f} ms"
