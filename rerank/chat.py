"""The chat template of a model's folder, rendered around a listwise prompt."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import jinja2
from transformers.utils.chat_template_utils import render_jinja_template

from lodex.errors import InvalidArgumentError
from lodex.index.tokenizer import CONFIG_FILE
from lodex.rerank.prompt import ChatFrame

CHAT_TEMPLATE = "chat_template.jinja"
# Stands for the words of the user while the template is rendered; no template has this character of its own.
_BODY = "\ue000"
# The day that a template is told which asks for today's: a prompt, and a fingerprint, is the same every day.
_DAY = datetime.datetime(2024, 7, 26, tzinfo=datetime.UTC)
_DATE_FUNCTION = "strftime_now"


def has_chat_template(folder: Path) -> bool:
    """Whether the folder of a model holds a chat template."""
    return _read(folder)[0] is not None


def chat_frame(folder: Path, system: str) -> ChatFrame | None:
    """What the chat template puts around a user's message after `system`, None where the folder has none.

    A template that knows no role for `system` gets it at the head of the user's message, and one that asks for the day
    is told 26 July 2024, which the templates of Llama 3 fall back to. The template runs in a sandbox.
    InvalidArgumentError for one that fails or does not show the user's message once.
    """
    template, special = _read(folder)
    if template is None:
        return None
    roles = [{"role": "system", "content": system}] if system else []
    user = {"role": "user", "content": _BODY}
    try:
        try:
            text = _render(template, [*roles, user], special)
        except jinja2.TemplateError:
            head = f"{system}\n {_BODY}" if system else _BODY
            text = _render(template, [{"role": "user", "content": head}], special)
    except (jinja2.TemplateError, ValueError, TypeError) as error:
        raise InvalidArgumentError(f"the chat template of {folder} fails: {error}", "model") from error
    if text.count(_BODY) != 1:
        raise InvalidArgumentError(
            f"the chat template of {folder} shows a user's message {text.count(_BODY)} times, expected once", "model"
        )
    before, after = text.split(_BODY)
    return ChatFrame(before, after)


def _render(template: str, messages: list[dict[str, str]], special: dict[str, str]) -> str:
    if _DATE_FUNCTION in template:
        template = _fixed_date() + template
    render: Any = render_jinja_template
    texts, _ = render([messages], chat_template=template, add_generation_prompt=True, **special)
    return str(texts[0])


def _fixed_date() -> str:
    """A macro that hides the `strftime_now` of transformers, which takes no other function for it."""
    values = {f"%{letter}": _DAY.strftime(f"%{letter}") for letter in "aAbBcdHIjmMpSUwWxXyY"}
    values |= {f"%-{letter}": values[f"%{letter}"].lstrip("0") or "0" for letter in "dHIjmMS"}
    filled = "".join(f" | replace('{directive}', '{value}')" for directive, value in values.items())
    return f"{{% macro {_DATE_FUNCTION}(format) %}}{{{{ format{filled} }}}}{{% endmacro %}}\n"


def _read(folder: Path) -> tuple[str | None, dict[str, str]]:
    """The chat template and the special tokens it may name."""
    path = folder / CONFIG_FILE
    try:
        config: Any = json.loads(path.read_bytes()) if path.is_file() else {}
    except ValueError as error:
        raise InvalidArgumentError(f"{path} is not JSON: {error}", "model") from error
    if (folder / CHAT_TEMPLATE).is_file():
        template: Any = (folder / CHAT_TEMPLATE).read_text(encoding="utf-8")
    else:
        template = config.get("chat_template")
    if isinstance(template, list):  # several by name
        template = next((one["template"] for one in template if one.get("name") == "default"), None)
    special = {}
    for name in ("bos_token", "eos_token"):
        token = config.get(name)
        content = token.get("content") if isinstance(token, dict) else token
        special[name] = content if isinstance(content, str) else ""
    return template if isinstance(template, str) else None, special
