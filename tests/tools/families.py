"""Small chat templates of our own, each in the shape that one family of models has for tools."""

from __future__ import annotations

__all__ = ["ACTIONS", "FAMILIES", "HIDDEN", "SINGLE", "UNAWARE"]

_FRAME = (
    "{% if tools %}<|tools|>TOOLS<|end|>{% endif %}"
    "{% for m in messages %}"
    "{% if m.role == 'tool' %}<|tool|>{{ m.content }}<|end|>"
    "{% else %}<|{{ m.role }}|>REASON{{ m.content }}CALLS<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
_EACH = "{% for c in m.tool_calls or [] %}{% set f = c.function %}CALL{% endfor %}"
_PARAMETERS = "{% for k, v in f.arguments.items() %}ONE{% endfor %}"
_RAW = "{{ v if v is string else (v | tojson) }}"
_TYPE = (
    "{% if v is string %}string{% elif v is boolean %}boolean{% elif v is none %}null"
    "{% elif v is number %}number{% elif v is mapping %}object{% else %}array{% endif %}"
)
_JSON = '{"name": "{{ f.name }}", "arguments": {{ f.arguments | tojson }}}'


def _template(calls: str, *, tools: str = "{{ tools | tojson }}", reason: str = "") -> str:
    return _FRAME.replace("TOOLS", tools).replace("CALLS", calls).replace("REASON", reason)


def _each(call: str) -> str:
    return _EACH.replace("CALL", call)


def _section(opening: str, call: str, closing: str) -> str:
    return f"{{% if m.tool_calls %}}{opening}{_each(call)}{closing}{{% endif %}}"


def _tagged(before: str, one: str, after: str) -> str:
    return _each(before + _PARAMETERS.replace("ONE", one) + after)


_COMMA = "{% if not loop.last %}, {% endif %}"
_THINK = "{% if m.reasoning_content %}<think>\n{{ m.reasoning_content }}\n</think>\n\n{% endif %}"
_DIALECT = (
    '{% macro w(v) %}{% if v is string %}<|"|>{{ v }}<|"|>'
    "{% elif v is mapping %}{ {%- for k, x in v.items() %}{{ k }}:{{ w(x) }}"
    "{% if not loop.last %},{% endif %}{% endfor -%} }"
    "{% elif v is sequence %}[{% for x in v %}{{ w(x) }}{% if not loop.last %},{% endif %}{% endfor %}]"
    "{% else %}{{ v | tojson }}{% endif %}{% endmacro %}"
)

FAMILIES: dict[str, str] = {
    "hermes": _template(
        _each(
            "{{ '\\n' if m.content or not loop.first else '' }}<tool_call>\n"
            f"{_JSON}\n</tool_call>"
        ),
        reason=_THINK,
    ),
    "llama 3": _template(
        "{% if m.tool_calls | length > 1 %}{{ raise_exception('one call') }}{% endif %}"
        + _each('{"name": "{{ f.name }}", "parameters": {{ f.arguments | tojson }}}')
    ),
    "mistral": _template(
        _section(
            "[TOOL_CALLS][",
            '{"name": "{{ f.name }}", "arguments": {{ f.arguments | tojson }},'
            ' "id": "{{ c.id }}"}' + _COMMA,
            "]",
        )
    ),
    "mistral 3": _template(
        _each("[TOOL_CALLS]{{ f.name }}[CALL_ID]{{ c.id }}[ARGS]{{ f.arguments | tojson }}")
    ),
    "gemma 4": _DIALECT
    + _template(_each("<|tool_call>call:{{ f.name }}{{ w(f.arguments) }}<tool_call|>")),
    "deepseek r1": _template(
        _section(
            "<|calls_begin|>",
            "{{ '' if loop.first else '\\n' }}<|call_begin|>function<|sep|>{{ f.name }}\n"
            "```json\n{{ f.arguments | tojson }}\n```<|call_end|>",
            "<|calls_end|>",
        )
    ),
    "deepseek 3.1": _template(
        _section(
            "<|calls_begin|>",
            "<|call_begin|>{{ f.name }}<|sep|>{{ f.arguments | tojson }}<|call_end|>",
            "<|calls_end|>",
        ),
        reason="{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}",
    ),
    "deepseek 3.2": _template(
        _section(
            "\n\n<|D|calls>\n",
            '<|D|invoke name="{{ f.name }}">\n'
            + _PARAMETERS.replace(
                "ONE",
                "<|D|parameter name=\"{{ k }}\" string=\"{{ 'true' if v is string else 'false' }}\">"
                f"{_RAW}</|D|parameter>\n",
            )
            + "</|D|invoke>\n",
            "</|D|calls>",
        )
    ),
    "qwen coder": _template(
        _tagged(
            "{{ '' if loop.first else '\\n' }}<tool_call>\n<function={{ f.name }}>\n",
            f"<parameter={{{{ k }}}}>\n{_RAW}\n</parameter>\n",
            "</function>\n</tool_call>",
        )
    ),
    "glm": _template(
        _tagged(
            "<tool_call>{{ f.name }}\n",
            f"<arg_key>{{{{ k }}}}</arg_key>\n<arg_value>{_RAW}</arg_value>\n",
            "</tool_call>\n",
        ),
        reason=_THINK,
    ),
    "glm 4.7": _template(
        _tagged(
            "<tool_call>{{ f.name }}",
            f"<arg_key>{{{{ k }}}}</arg_key><arg_value>{_RAW}</arg_value>",
            "</tool_call>",
        )
    ),
    "minimax": _template(
        _section(
            "<m:tool_call>\n",
            '<invoke name="{{ f.name }}">\n'
            + _PARAMETERS.replace("ONE", f'<parameter name="{{{{ k }}}}">{_RAW}</parameter>\n')
            + "</invoke>\n",
            "</m:tool_call>",
        )
    ),
    "kimi": _template(
        _section(
            "<|section_begin|>",
            "<|call_begin|>functions.{{ f.name }}:{{ loop.index0 }}<|argument_begin|>"
            "{{ f.arguments | tojson }}<|call_end|>",
            "<|section_end|>",
        )
    ),
    "command": _template(
        _section(
            "<|START_ACTION|>[",
            "\n    {" + '"tool_call_id": "{{ loop.index0 }}", "tool_name": "{{ f.name }}",'
            ' "parameters": {{ f.arguments | tojson }}}{% if not loop.last %},{% endif %}',
            "\n]<|END_ACTION|>",
        )
    ),
    "granite 4": _template(_each(f"<tool_call>\n{_JSON}\n</tool_call>")),
    "apertus": _template(
        _section(
            "<|prefix|>[",
            '{"{{ f.name }}": {{ f.arguments | tojson }}}' + _COMMA,
            "]<|suffix|>",
        )
    ),
    "solar": _template(
        _section(
            "<|tool_calls|>",
            "<|call:begin|>{{ c.id }}<|call:name|>{{ f.name }}<|call:args|>"
            "{{ f.arguments | tojson }}<|call:end|>",
            "<|calls|>",
        )
    ),
    "lfm 2.5": _template(
        _section(
            "<|tool_call_start|>[",
            "{{ f.name }}("
            + _PARAMETERS.replace("ONE", "{{ k }}={{ v | tojson }}" + _COMMA)
            + ")"
            + _COMMA,
            "]<|tool_call_end|>",
        )
    ),
    "kimi k3": _template(
        _section(
            "<|open|>tools<|sep|>",
            '<|open|>call tool="{{ f.name }}" index="{{ loop.index }}"<|sep|>'
            + _PARAMETERS.replace(
                "ONE",
                f'<|open|>argument key="{{{{ k }}}}" type="{_TYPE}"<|sep|>{_RAW}'
                "<|close|>argument<|sep|>",
            )
            + "<|close|>call<|sep|>",
            "<|close|>tools<|sep|>",
        )
    ),
    "muse": _template(
        _each(
            "{{ '' if loop.first else '<|next|><|assistant|>' }}"
            ' to={{ f.name }}<|message|><calls>\n<invoke name="{{ f.name }}">\n'
            + _PARAMETERS.replace("ONE", f'<parameter name="{{{{ k }}}}">{_RAW}</parameter>\n')
            + "</invoke>\n</calls>"
        ),
        reason="{% if m.role == 'assistant' and not m.tool_calls %} to=user<|message|>{% endif %}",
    ),
    "functionary": _template(_each("<function={{ f.name }}>{{ f.arguments | tojson }}</function>")),
    "text arguments": _template(
        _each("<tool_call>{{ f.name }}|{{ '' + f.arguments }}</tool_call>")
    ),
    "gpt-oss": _template(
        "{% if m.tool_calls %}<|channel|>commentary to=functions.{{ m.tool_calls[0].function.name }}"
        " <|constrain|>json<|message|>{{ m.tool_calls[0].function.arguments | tojson }}<|call|>"
        "{% endif %}"
    ),
}
"""Templates that render calls, by family."""

SINGLE = {"llama 3", "gpt-oss"}
"""Families that call one tool at a time."""

HIDDEN: dict[str, str] = {
    "granite 3": _template("", tools="write <|tool_call|> before {{ tools | tojson }}"),
    "phi 4": _template("", tools="<|tool_call|>...<|/tool_call|> {{ tools | tojson }}"),
    "lfm 2.5 instruct": _template("", tools="List of tools: [{{ tools | tojson }}]"),
    "lfm 2": _template("", tools="<|tool_list_start|>{{ tools | tojson }}<|tool_list_end|>"),
    "hermes": _template("", tools="write <tool_call> for {{ tools | tojson }}"),
}
"""Templates that describe tools, and know nothing of calls."""

ACTIONS = (
    "{% if tools %}<|tools|>{{ tools | tojson }}<|end|>{% endif %}"
    "{% for m in messages %}"
    "{% if m.tool_calls %}<|assistant|>\nAction:\n```json\n["
    + _each(
        '\n    {\n        "tool_name": "{{ f.name }}",\n        "parameters":'
        " {{ f.arguments | tojson(indent=4) }}\n    }{{ '' if loop.last else ',' }}"
    )
    + "\n]```\n{% else %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endif %}{% endfor %}"
    "<|system|>Write 'Action:' and a list.<|end|>"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
"""Command R+: JSON over several lines, and a reminder after every conversation."""

UNAWARE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
"""A template that knows nothing of tools at all."""
