"""Words of a question and of a text, made comparable: tokens, stems, the words that carry no subject."""

from __future__ import annotations

import re
from functools import lru_cache

_COMMON = """
    a about above after again against all also although always am among an and another any are aren't as at
    be because been before being below between both but by can can't cannot could couldn't did didn't do does
    doesn't doing don't done down during each either else ever every few for from further get gets got had
    has hasn't have haven't having he hence her here hers him his how however i i'd i'll i'm i've if in into
    is isn't it it's its itself just let let's like may maybe me might mine more most much must my myself
    neither no nor not now of off often on once one ones only or other others ought our ours out over own
    per perhaps please rather same shall she should shouldn't since so some such than that that's the their
    theirs them themselves then there there's therefore these they this those though through thus till to
    too under until unless up upon us very via was wasn't we were weren't what what's when where whether
    which while who whom whose why will with within without won't would wouldn't yet you your yours
"""
_ASKING = """
    answer ask asked compare compared comparison describe description detail details difference differences
    differ different discuss example examples exactly explain explanation find give happen happened happens
    know learn list main many mean meaning means overview question say says show summarise summarize summary
    tell thing things understand versus vs want way ways work works
"""
_FORMS = """
    begin began begun|break broke broken|build built|choose chose chosen|die died dying|do done|find found
    freeze froze frozen|give gave given|go went gone goes|grow grew grown|hide hid hidden|hold held
    index indices|keep kept|lose lost|make made|rise rose risen|run ran|send sent|speak spoke spoken
    spend spent|take took taken|tie tied tying|try tries tried|use used using|write wrote written
"""

_VAGUE = """
    available bad best better case certain common exist exists existing good important interesting
    issue issues kind kinds matter need needed needs new number problem problems set sort thing type
    types typical used useful user users using value values
"""
_KIN = """
    kill cancel terminate abort stop end interrupt|crash failure fail die kill
    delete remove drop erase discard purge|create make add|start begin launch|resume continue restart
    recover restore|fast quick performance speed slow|error failure problem fault
    limit maximum cap bound|cost price budget expense|change modify alter update edit
    show display list view|choose select pick|configure setting configuration|install setup
    save store persist|write store|retrieve read fetch|send deliver submit|check verify validate test
    secure security protect|allow permit enable grant|forbid deny refuse block reject prevent
    stuck hang wait block|document file page|agent subagent worker|resume recover
    retry repeat again|split divide partition
"""

_STOPWORDS = frozenset(_COMMON.split())
_OF_ASKING = frozenset(_ASKING.split())
_IRREGULAR = {
    form: base
    for base, *forms in (line.split() for line in re.split(r"[|\n]", _FORMS) if line.strip())
    for form in forms
}

_KIN_GROUPS = [line.split() for line in re.split(r"[|\n]", _KIN) if line.strip()]
_VAGUE_WORDS = frozenset(_VAGUE.split())
_TOKEN = re.compile(r"[^\W_]+(?:(?:['’]|_+)[^\W_]+)*")
_MARKER = re.compile(r"(?:\A|\n)\s*(?:[-*+•]|\(?\d{1,3}[.)]|#{1,6}|>)\s+")
_LINK = re.compile(r"!?\[([^\]\n]*)\](?:\([^)\n]*\)|\[[^\]]*\])")
_REFERENCE = re.compile(r"(`[^`]*`)|\[\^?\d+(?:\s*[,;–-]\s*\d+)*\]|\[citation needed\]")
_EMPHASIS = re.compile(r"(?<![\w*])(\*{1,3}|_{2})(?=\S)([^*]+?)(?<=\S)\1(?![\w*])")
_TWO_WORDS = re.compile(
    r"\b(back|clean|roll|set|shut|start)(?:s|ed|ting|ing)?[ -](up|down|back)\b", re.IGNORECASE
)
_JOINT = re.compile(r"_+|(?<=[a-z0-9])(?=[A-Z][a-z])")


def words(text: str) -> list[str]:
    """Give the words of a text as written; an identifier such as `max_steps` is one word."""
    return _TOKEN.findall(text)


def is_common(word: str) -> bool:
    """Whether a word only holds sentences together."""
    return word.lower().replace("’", "'") in _STOPWORDS


def subject_words(text: str) -> list[str]:
    """Give a question's words that name its subject, as written, each stem once, in order.

    Words of asking ("explain", "difference") are left out, unless nothing else would remain.
    """
    named = [
        word for word in words(_closed(text)) if not is_common(word) and (len(word) > 1 or word.isdigit())
    ]
    subject = [word for word in named if word.lower() not in _OF_ASKING] or named
    return list({stem(word): word for word in reversed(subject)}.values())[::-1]


def terms(text: str) -> list[str]:
    """Give the stems of a text's words, common words left out, in order and with repeats.

    An identifier gives itself and its parts, so that it is found by its name and by the words in it.
    """
    found: list[str] = []
    for word in words(_closed(text)):
        parts = _JOINT.split(word)
        if len(parts) > 1:
            found.append(stem(word))
        found += [stem(part) for part in parts if not is_common(part)]
    return found


def _closed(text: str) -> str:
    """Write verbs of two words in one, so that "backed up" and "backup" are the same."""
    return _TWO_WORDS.sub(lambda found: found[1] + found[2], text)


def is_vague(word: str) -> bool:
    """Whether a word says little about what a question is about, though it belongs to it."""
    return word.lower() in _VAGUE_WORDS


@lru_cache(maxsize=1_000)
def kin(word_stem: str) -> frozenset[str]:
    """Give the stems of words that often stand for the same thing; empty for most words."""
    groups = [{stem(word) for word in group} for group in _KIN_GROUPS]
    return frozenset().union(*(group for group in groups if word_stem in group)) - {word_stem}


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """Cut an English word to a stem that its inflections share; good enough to compare, not to print."""
    text = re.sub(r"['’].*", "", word.lower())
    text = _IRREGULAR.get(text, text)
    if len(text) <= 3 or not text.isascii():
        return text
    text = _without_plural(text)
    for ending in ("ing", "ed"):
        rest = text.removesuffix(ending)
        if rest != text and len(rest) >= 3 and re.search("[aeiouy]", rest) and not text.endswith("eed"):
            text = rest[:-1] if rest[-1] == rest[-2] and rest[-1] not in "lsz" else rest
            break
    if text.endswith(("tion", "sion")) and len(text) > 6:
        text = text[:-3]
    elif text.endswith("ly") and len(text) > 5:
        text = text[:-2]
    if text.endswith("ery") and len(text) > 6:
        text = text[:-1]
    elif text.endswith("y") and text[-2] not in "aeiou":
        text = text[:-1] + "i"
    return text[:-1] if text.endswith("e") and len(text) > 3 else text


def _without_plural(text: str) -> str:
    if text.endswith("ies") and len(text) > 4:
        return text[:-3] + "y"
    if text.endswith(("xes", "ches", "shes", "sses", "zzes")):
        return text[:-2]
    if text.endswith("s") and not text.endswith(("ss", "us", "is")):
        return text[:-1]
    return text


def tidy(quote: str) -> str:
    """Give a quote as a sentence to print: on one line, without markup, with an end mark."""
    text = _MARKER.sub("; ", re.sub(r"(?<![:;.,])\n\s*\n", ": ", quote)).strip()
    cells = [cell.strip() for cell in text.split(" | ") if cell.strip(" |")]
    if len(cells) > 1:
        text = f"{cells[0].strip('| ')}: {'; '.join(cells[1:]).rstrip('| ')}"
    text = _REFERENCE.sub(lambda found: found[1] or "", _LINK.sub(r"\1", text))
    text = _EMPHASIS.sub(r"\2", " ".join(text.split()))
    text = text.replace(":;", ":").strip(" ;*_")
    if text.count("`") % 2:
        text = text.replace("`", "")
    if text.endswith((":", ",")):
        return text[:-1] + "."
    return text if not text or text.endswith((".", "!", "?", "…", "。", "！", "？")) else text + "."
