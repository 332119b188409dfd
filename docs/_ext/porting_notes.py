"""What differs between PyTorch's object and a function, as its docstring says it, for a table."""

from __future__ import annotations

import inspect
import re
from importlib import import_module

SAID_ONCE = re.compile(
    r"Left out: (``\w+``(, | and )?)+, which says? how and not what\."
    r"|Left out as in [^.]*\."
    r"|(?<=Left out: )``(last_epoch|foreach|inplace)``(?=\.)"
    r"|``(last_epoch|inplace)``(, and| and|,) (?!\()"
    r"|``inplace`` \(arrays are immutable\)(, and |, )?|``size_average`` and ``reduce``"
    r"|(?<=``reduce``), which are deprecated(, and )?"
    r"|lists \(one schedule a group\)(, and |, )?"
    r"|the tensor \(a new array is returned\)( and ``generator`` \(it is the key\))?"
    r"|the same distribution with a JAX key, the same bits with a ``Generator``\."
    r"|``device`` \(JAX places arrays\)(, and |, )?"
    r"|``step`` is one int32 for the whole tree[^.;]*[.;] ?"
    r"|A leaf whose gradient is ``None`` stays as it is(; [^.]*:func:`count_per_parameter`[^.]*)?\."
    r"|(?:(?<=[.;)] )|^)(?:Where )?PyTorch raises ``(?:[^.]|\.(?! |$))*\.?"
)
"""What holds of many functions, and stands above the tables."""
SAME = re.compile(
    r"(?:same arguments, defaults,? (?:state keys?, errors and |errors and |and )numbers"
    r"|equal at every step(?: and (?:past (?:the end|``\w+``)|restart))?"
    r"|the same(?: arguments(?=[;.]))?)(?:[;.] ?| (?=\()|$)"
)
"""What every row promises, and none repeats."""
SIBLING = re.compile(
    r"[Aa]s :(?:class|func|meth):`~?([\w.]+)`(?: is to ``[^`]+``|, of ``[^`]+``)?[.,;]? ?"
)
"""How a docstring refers to a sibling's."""
LONGEST = 260
"""Characters after which a note ends with its sentence."""


def note(name: str, function: str) -> str:
    """Return what differs, as Markdown for a cell of a table."""
    text = SAID_ONCE.sub("", _difference(name, function))
    text = re.sub(r",? and *(?=\.)|(?<=Left out: )and ", "", re.sub(r"\s+", " ", text))
    text = re.sub(r"Left out: *(?:[.;,] ?|$)", "", text).strip()
    if same := SAME.match(text):
        text = re.sub(r"^\((.*?)\)\.", r"\1.", text[same.end() :])
    kept = ""
    for sentence in re.split(r"(?<=[.;]) (?=[A-Z`])", text):
        if kept and len(kept) + len(sentence) > LONGEST:
            kept = kept.rstrip(" ;.") + " ..."
            break
        kept += sentence + " "
    kept = kept.strip().removesuffix(".") if not kept.endswith("...") else kept
    if not kept:
        return "Nothing"
    return markdown(kept[0].upper() + kept[1:], function.split(".")[0])


def _difference(name: str, function: str) -> str:
    """Return what a docstring says of PyTorch behind the name; of a sibling, what that one says."""
    text = re.sub(r"\s+", " ", said_of_pytorch(function))
    more = r"(?:, and with ``axis_name`` ``[^`]+``)?"
    leading = re.match(rf"``{re.escape(name)}[^`]*``{more}(?:: |, (?=equal)|\. |\.$)", text)
    text = text[leading.end() :] if leading else text
    sibling = SIBLING.match(text)
    if not sibling:
        return text
    room, _ = function.split(".")
    other = ".".join(sibling[1].removeprefix("jaxaccel.").split(".")[-2:])
    other = other if "." in other else f"{room}.{other}"
    said = re.match(r"``(torch[\w.]+)", said_of_pytorch(other))
    return _difference(said[1] if said else "", other) + " " + text[sibling.end() :]


def markdown(text: str, room: str) -> str:
    """Return reStructuredText as MyST."""

    def link(match: re.Match[str]) -> str:
        target = match[2] if "." in match[2] else f"jaxaccel.{room}.{match[2]}"
        return f"{{py:obj}}`{match[2].removeprefix('jaxaccel.')} <{target}>`"

    text = re.sub(r":(func|class):`~?([\w.]+)`", link, text)
    text = re.sub(r":math:`([^`]*)`", r"$\1$", text)
    return text.replace("``", "`").replace("|", r"\|")


def said_of_pytorch(function: str) -> str:
    """Return the PyTorch section of a function's docstring."""
    room, name = function.split(".")
    doc = inspect.getdoc(getattr(import_module(f"jaxaccel.{room}"), name)) or ""
    match = re.search(r"^PyTorch:\n((?:    .*\n|\n)*)", doc + "\n", re.MULTILINE)
    return inspect.cleandoc(match[1]) if match else ""
