"""A server tried with OpenAI's own client of PyPI: chat, streaming, texts, embeddings, structured output, tools, abort, errors.

pip install openai; npx @hip/llm serve --model … --name NAME --embedder …; python openai_client.py http://127.0.0.1:8080/v1 NAME ENCODER
"""

import json
import sys

import openai

base_url, model, encoder = sys.argv[1:4]
client = openai.OpenAI(base_url=base_url, api_key="none", max_retries=0)
messages = [{"role": "user", "content": "What is the capital of France?"}]
checks: dict[str, object] = {"openai": openai.__version__}

checks["models"] = [one.id for one in client.models.list()]
assert model in checks["models"]

whole = client.chat.completions.create(model=model, messages=messages, temperature=0, max_tokens=24, logprobs=True, top_logprobs=2)
checks["chat"] = whole.choices[0].message.content
assert len(whole.choices[0].logprobs.content) == whole.usage.completion_tokens

text, usage = "", None
for chunk in client.chat.completions.create(
    model=model, messages=messages, temperature=0, max_tokens=24, stream=True, stream_options={"include_usage": True}
):
    text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    usage = chunk.usage or usage
assert text == whole.choices[0].message.content
assert usage.completion_tokens == whole.usage.completion_tokens
checks["cached"] = usage.prompt_tokens_details.cached_tokens

two = client.completions.create(model=model, prompt=["One, two,", "Red, green,"], max_tokens=4, temperature=0)
checks["texts"] = [choice.text for choice in two.choices]

vectors = client.embeddings.create(model=encoder, input=["a cat", "a dog"]).data
checks["embedding"] = len(vectors[0].embedding)
assert abs(sum(value * value for value in vectors[0].embedding) - 1) < 1e-3

schema = {
    "type": "object",
    "properties": {"capital": {"type": "string", "maxLength": 20}, "inhabitants": {"type": "integer", "minimum": 0}},
    "required": ["capital", "inhabitants"],
    "additionalProperties": False,
}
shaped = client.chat.completions.create(
    model=model,
    messages=messages,
    temperature=0,
    max_tokens=60,
    response_format={"type": "json_schema", "json_schema": {"name": "city", "schema": schema}},
)
checks["structured"] = json.loads(shaped.choices[0].message.content)

stream = client.chat.completions.create(model=model, messages=messages, max_tokens=400, stream=True)
next(iter(stream))
stream.close()

tool = {"type": "function", "function": {"name": "weather", "parameters": schema}}
try:
    called = client.chat.completions.create(model=model, messages=messages, tools=[tool], tool_choice="required", max_tokens=80)
    checks["tools"] = [call.function.arguments for call in called.choices[0].message.tool_calls]
except openai.BadRequestError as error:
    checks["tools"] = error.message

for name, fields in {"temperature": {"temperature": 9}, "model": {"model": "other"}}.items():
    try:
        client.chat.completions.create(**{"model": model, "messages": messages, **fields})
        raise SystemExit(f"{name} was not refused")
    except openai.APIStatusError as error:
        checks[f"refused {name}"] = [error.status_code, error.param]

print(json.dumps(checks, ensure_ascii=False, indent=2))
