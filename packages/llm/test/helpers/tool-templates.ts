// Chat templates in the forms of those that know tools, over the byte tokenizer's tokens.

const END = '{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}';
const TOOLS = '{% if tools %}<|im_start|>system\n{% for t in tools %}{{ t | tojson }}\n{% endfor %}';

/** Qwen, Hermes: a tagged call each. */
export const TAGGED = `${TOOLS}Call them within <tool_call></tool_call>.<|im_end|>\n{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}{% if m.tool_calls %}{% for c in m.tool_calls %}<tool_call>\n{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}\n</tool_call>{% endfor %}{% endif %}<|im_end|>\n{% endfor %}${END}`;

/** SmolLM2: a list of calls in one tag; earlier calls are text. */
export const LISTED = `${TOOLS}Answer with <tool_call>[{"name": "f", "arguments": {}}]</tool_call>.<|im_end|>\n{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}${END}`;

/** Llama 3: the answer is the call. */
export const LLAMA = `${TOOLS}<|im_end|>\n{% endif %}{% for m in messages %}{% if m.tool_calls %}{% if m.tool_calls | length != 1 %}{{ raise_exception("one call at once") }}{% endif %}<|im_start|>assistant\n{"name": "{{ m.tool_calls[0].function.name }}", "parameters": {{ m.tool_calls[0].function.arguments | tojson }}}<|im_end|>\n{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}${END}`;

/** A form that nobody knows. */
export const FOREIGN = `${TOOLS}<|im_end|>\n{% endif %}{% for m in messages %}{{ m.content }}{% for c in m.tool_calls or [] %}CALL {{ c.function.name }} WITH {{ c.function.arguments | tojson }}{% endfor %}{% endfor %}${END}`;
