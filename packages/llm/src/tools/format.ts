// Which form a chat template has calls written in: seen by rendering one.
import { CheckpointError, type ChatMessage, type ChatTemplate } from '@hip/checkpoints';
import { LlmError } from '../errors.ts';
import { choice, literal, repeat, sequence } from '../constrain/fragments.ts';
import { member, space } from '../constrain/json-text.ts';
import type { Fragment } from '../constrain/network.ts';
import { schemaFragment } from '../constrain/schema.ts';
import { Llama3Reader, PYTHON_TAG } from './llama3.ts';
import { CLOSE, OPEN, TaggedReader } from './tagged.ts';
import type { Tool, ToolCall, ToolFormatName, ToolReader } from './types.ts';

/** Calls of one answer at most, where an answer must consist of them. */
const MOST_CALLS = 8;

/** A function, and an argument, that no template knows. */
const PROBE = { name: 'probe_of_tools', argument: 'probe_argument', value: 'probe_value' };

/** How a model's template has its calls written. */
export class ToolFormat {
  readonly name: ToolFormatName;
  /** Whether the template writes `tool_calls` of earlier answers; else they are put into the text. */
  readonly #writesCalls: boolean;
  /** Whether the template writes tools; else the system message tells of them. */
  readonly #writesTools: boolean;

  /** @internal */
  constructor(name: ToolFormatName, writesCalls: boolean, writesTools = true) {
    this.name = name;
    this.#writesCalls = writesCalls;
    this.#writesTools = writesTools;
  }

  /** @param tools - that the model was told of */
  reader(tools: readonly Tool[]): ToolReader {
    return this.name === 'llama3' ? new Llama3Reader(tools.map((tool) => tool.function.name)) : new TaggedReader();
  }

  /**
   * Messages as the template can write them.
   *
   * @param messages - whose `tool_calls` have arguments as objects
   * @param tools - that the model is to be told of
   */
  messages(messages: readonly ChatMessage[], tools: readonly Tool[] = []): readonly ChatMessage[] {
    const told = this.#writesTools || tools.length === 0 ? messages : withTools(messages, tools);
    if (this.name === 'llama3') return oneCallEach(told);
    if (this.#writesCalls) return told;
    return told.map(({ tool_calls: calls, ...message }) => {
      if (!Array.isArray(calls)) return message;
      const all = (
        calls as readonly { readonly function: { readonly name: string; readonly arguments: unknown } }[]
      ).map((call) => ({ name: call.function.name, arguments: JSON.stringify(call.function.arguments) }));
      return { ...message, content: `${typeof message.content === 'string' ? message.content : ''}${this.#text(all)}` };
    });
  }

  /**
   * Texts that are calls of these functions, with arguments that fit.
   *
   * @param isSingle - one call, no more
   * @throws LlmError `invalid-input` for parameters that cannot be held to
   * @internal
   */
  calls(tools: readonly Tool[], isSingle: boolean): Fragment {
    const key = this.name === 'llama3' ? 'parameters' : 'arguments';
    const call = choice(
      ...tools.map(({ function: { name, parameters = { type: 'object', additionalProperties: false } } }) =>
        sequence(
          literal('{'),
          member(literal('"name"'), literal(JSON.stringify(name))),
          literal(', '),
          member(literal(`"${key}"`), schemaFragment({ type: 'object', ...parameters })),
          literal('}'),
        ),
      ),
    );
    const more = isSingle ? 0 : MOST_CALLS - 1;
    if (this.name === 'llama3') return call;
    if (this.name === 'tool-call-list') {
      const list = sequence(literal('['), call, repeat(sequence(literal(','), space, call), 0, more), literal(']'));
      return sequence(literal(OPEN), list, literal(CLOSE));
    }
    const tagged = sequence(literal(`${OPEN}\n`), call, literal(`\n${CLOSE}`));
    return sequence(tagged, repeat(sequence(literal('\n'), tagged), 0, more));
  }

  #text(calls: readonly ToolCall[]): string {
    const one = ({ name, arguments: args }: ToolCall) => `{"name": ${JSON.stringify(name)}, "arguments": ${args}}`;
    if (this.name === 'tool-call-list') return `${OPEN}[${calls.map(one).join(', ')}]${CLOSE}`;
    return calls.map((call) => `${OPEN}\n${one(call)}\n${CLOSE}`).join('\n');
  }
}

/** As the model card of SmolLM2 has tools told: as a JSON list, with the form of calls. */
function withTools(messages: readonly ChatMessage[], tools: readonly Tool[]): readonly ChatMessage[] {
  const [first, ...rest] = messages;
  const own = first?.role === 'system' && typeof first.content === 'string' ? first.content : undefined;
  const told = [
    ...(own ? [own, ''] : []),
    'You can call these functions:',
    `<tools>${JSON.stringify(tools.map((tool) => tool.function))}</tools>`,
    '',
    'To call some of them, answer with a list of calls and nothing else:',
    `${OPEN}[{"name": "function_name", "arguments": {"argument_name": "value"}}]${CLOSE}`,
    'Where none of them helps, answer in words.',
  ];
  return [{ role: 'system', content: told.join('\n') }, ...(own === undefined ? messages : rest)];
}

/** Llama 3's templates refuse an answer with several calls: each becomes an answer of its own, with what it returned after it. */
function oneCallEach(messages: readonly ChatMessage[]): readonly ChatMessage[] {
  const out: ChatMessage[] = [];
  for (let at = 0; at < messages.length; at++) {
    const message = messages[at]!;
    const calls = message['tool_calls'];
    if (!Array.isArray(calls) || calls.length < 2) {
      out.push(message);
      continue;
    }
    const returned: ChatMessage[] = [];
    while (messages[at + 1]?.role === 'tool') returned.push(messages[++at]!);
    for (const [i, call] of (calls as readonly { readonly id?: string }[]).entries()) {
      out.push({ ...message, content: i === 0 ? message.content : '', tool_calls: [call] });
      const own = returned.findIndex((answer) => answer['tool_call_id'] === call.id);
      if (own >= 0) out.push(...returned.splice(own, 1));
    }
    out.push(...returned);
  }
  return out;
}

const known = new WeakMap<ChatTemplate, ToolFormat>();

/**
 * The form in which a template has calls written: `tool-call` (Qwen, Hermes, SmolLM3), `tool-call-list` (SmolLM2) or `llama3`.
 *
 * @throws LlmError `unsupported-model` for a template that does not read tools, or that has another form
 */
export function toolFormat(template: ChatTemplate): ToolFormat {
  let format = known.get(template);
  if (!format) known.set(template, (format = detect(template)));
  return format;
}

function detect(template: ChatTemplate): ToolFormat {
  const parameters = { type: 'object', properties: { [PROBE.argument]: { type: 'string' } } };
  const tools: Tool[] = [{ type: 'function', function: { name: PROBE.name, description: 'A function.', parameters } }];
  const question: ChatMessage = { role: 'user', content: 'A question.' };
  const asked = rendered(template, [question], tools);
  if (!asked?.includes(PROBE.name)) {
    // SmolLM2 was taught to call functions that its system message tells of: its template does not.
    if (asked?.includes('SmolLM')) return new ToolFormat('tool-call-list', false, false);
    throw new LlmError(
      'unsupported-model',
      "this model's chat template does not read tools: it was not made to call functions",
      {
        name: 'tools',
      },
    );
  }
  const called = { name: PROBE.name, arguments: { [PROBE.argument]: PROBE.value } };
  const answer: ChatMessage = {
    role: 'assistant',
    content: '',
    tool_calls: [{ type: 'function', id: 'call00000', function: called }],
  };
  const answered = rendered(template, [question, answer], tools) ?? '';
  const writesCalls = answered.includes(PROBE.value);
  const text = asked + answered;
  if (text.includes(OPEN)) {
    const isList = /<tool_call>\s*\[/.test(text);
    return new ToolFormat(isList ? 'tool-call-list' : 'tool-call', writesCalls);
  }
  const isLlama =
    writesCalls &&
    (new RegExp(`\\{"name": "${PROBE.name}", "parameters": \\{`).test(answered) || text.includes(PYTHON_TAG));
  if (isLlama) return new ToolFormat('llama3', true);
  throw new LlmError(
    'unsupported-model',
    "this model's chat template has function calls in a form that is not known here: known are <tool_call> (Qwen, Hermes, SmolLM) and Llama 3's",
    {
      name: 'tools',
    },
  );
}

/** Undefined where the template refuses. */
function rendered(
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  tools: readonly Tool[],
): string | undefined {
  try {
    return template.render(messages, { tools, addGenerationPrompt: messages.length === 1 });
  } catch (error) {
    if (error instanceof CheckpointError) return undefined;
    throw error;
  }
}
