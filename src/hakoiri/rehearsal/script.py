"""A rehearsal script: which user text gets which answers. Pure: YAML text in, closed shapes out.

```yaml
scenes:
  - name: slow                  # shown in the journal
    when: take your time        # or {contains: …}, or {regex: …}; a scene without it is the default
    replies:                    # the n-th model request of the turn gets the n-th reply
      - think: One moment.
        say: I look into the directory.
        use: [{tool: Bash, input: {command: ls}}]
        delay_s: 2              # before the first byte
      - say: "I saw {{last_tool_result}}"
        delta_delay_s: 0.1      # before each piece
        error: {status: 529, times: 2}
```

`say`, `think` and strings in `input` may hold `{{user_text}}`, `{{first_user_text}}` and
`{{last_tool_result}}`; `{{user_text|sh}}` quotes for a POSIX shell.
"""

import re
from typing import Annotated, Any, Final, Self

import yaml
from pydantic import Field, JsonValue, StringConstraints, ValidationError, model_validator

from hakoiri.wire.messages import Message, ShortText

SCRIPT_LIMIT_BYTES: Final = 1024 * 1024
"""Far above any script that a person writes."""

PLACEHOLDER: Final = re.compile(r"\{\{\s*([^{}|]*?)\s*(?:\|\s*([^{}]*?)\s*)?\}\}")
PLACEHOLDER_NAMES: Final = frozenset({"user_text", "first_user_text", "last_tool_result"})

LongText = Annotated[str, StringConstraints(max_length=1_000_000)]
Seconds = Annotated[float, Field(ge=0, le=3600)]
Times = Annotated[int, Field(ge=1, le=1_000_000)]


class ScriptError(Exception):
    """The script cannot be played; the message names the line, the field and the mend."""


class When(Message):
    """Matches the latest user text: a substring in any letter case, or a Python regex."""

    contains: ShortText | None = None
    regex: ShortText | None = None

    @model_validator(mode="after")
    def _is_one_test(self) -> Self:
        if (self.contains is None) == (self.regex is None):
            raise ValueError("give either contains or regex")
        if self.regex is not None:
            try:
                re.compile(self.regex)
            except re.error as error:
                raise ValueError(f"regex is not a regular expression: {error}") from error
        return self


class ToolCall(Message):
    """The reply asks the agent to run `tool` with `input`."""

    tool: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,128}$")]
    input: dict[str, JsonValue] = Field(default={})

    @model_validator(mode="after")
    def _has_known_placeholders(self) -> Self:
        for text in _strings_of(self.input):
            _refuse_unknown_placeholders(text)
        return self


class Failure(Message):
    """The request fails, as the provider would say it.

    The first `times` attempts fail, then the reply is played; without `times` each one fails. With
    `after_deltas` the failure comes inside the stream, after so many pieces.
    """

    status: int = Field(ge=400, le=599)
    type: ShortText | None = None
    """The provider's name for the error; absent means the usual one for `status`."""

    message: ShortText = "This failure is in the rehearsal script."
    times: Times | None = None
    after_deltas: int | None = Field(default=None, ge=0)
    retry_after_s: int | None = Field(default=None, ge=0, le=3600)


class Cut(Message):
    """The connection closes after so many pieces; without `times`, on each attempt."""

    after_deltas: int = Field(ge=0)
    times: Times | None = None


class Reply(Message):
    """What one model request gets."""

    say: LongText | None = None
    think: LongText | None = None
    use: list[ToolCall] = Field(default=[], max_length=64)
    delay_s: Seconds = 0
    delta_delay_s: Seconds = 0
    error: Failure | None = None
    cut_after: Cut | None = None

    @model_validator(mode="before")
    @classmethod
    def _cut_after_a_number(cls, value: Any) -> Any:
        if isinstance(value, dict) and type(value.get("cut_after")) is int:
            return {**value, "cut_after": {"after_deltas": value["cut_after"]}}
        return value

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.say or self.think or self.use or self.error or self.cut_after):
            raise ValueError("a reply needs at least one of say, think, use, error, cut_after")
        for text in (self.say, self.think):
            _refuse_unknown_placeholders(text or "")
        return self


class Scene(Message):
    """The replies of one turn, if `when` matches its user text."""

    name: ShortText = ""
    when: When | None = None
    replies: list[Reply] = Field(min_length=1, max_length=1000)

    @model_validator(mode="before")
    @classmethod
    def _when_a_substring(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("when"), str):
            return {**value, "when": {"contains": value["when"]}}
        return value


class Script(Message):
    """All scenes; the first whose `when` matches is played, else the default scene."""

    scenes: list[Scene] = Field(min_length=1, max_length=1000)
    without_tools: LongText = "This is the rehearsal model."
    """Answers requests that offer no tools and match no `when`: titles, topics, simple chat."""

    @model_validator(mode="after")
    def _has_one_default(self) -> Self:
        defaults = [number for number, scene in enumerate(self.scenes) if scene.when is None]
        if len(defaults) > 1:
            raise ValueError(f"scenes {defaults} have no when; only one can be the default")
        _refuse_unknown_placeholders(self.without_tools)
        return self


def read_script(text: str, *, source: str) -> Script:
    """Read a script; `source` names it in errors. Raises `ScriptError`."""
    if len(text.encode()) > SCRIPT_LIMIT_BYTES:
        raise ScriptError(f"{source}: longer than {SCRIPT_LIMIT_BYTES} bytes")
    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise ScriptError(f"{source}: holds an alias (*name); write the value out")
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        _refuse_repeated_keys(tree, source)
        value = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ScriptError(f"{source}: not YAML: {_one_line(error)}") from error
    try:
        return Script.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        line, field = _place_of(tree, first["loc"]), ".".join(str(part) for part in first["loc"])
        mend = "no such field" if first["type"] == "extra_forbidden" else first["msg"]
        raise ScriptError(f"{source}, line {line}: {field or 'script'}: {mend}") from error


def _place_of(tree: yaml.Node | None, loc: tuple[int | str, ...]) -> int:
    node = tree
    line = node.start_mark.line if node is not None else 0
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == part), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line
        else:
            break
    return int(line) + 1


def _refuse_repeated_keys(node: yaml.Node | None, source: str) -> None:
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if isinstance(key.value, str) and key.value in seen:
                raise ScriptError(
                    f"{source}, line {key.start_mark.line + 1}: {key.value}: given twice; keep one"
                )
            if isinstance(key.value, str):  # others are no keys, which is told when it is read
                seen.add(key.value)
            _refuse_repeated_keys(value, source)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_repeated_keys(item, source)


def _refuse_unknown_placeholders(text: str) -> None:
    for match in PLACEHOLDER.finditer(text):
        name, quoting = match.groups()
        if name not in PLACEHOLDER_NAMES:
            raise ValueError(f"{match[0]} is unknown; there are {sorted(PLACEHOLDER_NAMES)}")
        if quoting not in (None, "sh"):
            raise ValueError(f"{match[0]}: the only quoting is |sh")


def _strings_of(value: JsonValue) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [text for item in value for text in _strings_of(item)] if isinstance(value, list) else []


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
