// POST /v1/chat/completions.
import { parseRequest } from './body.ts';
import { ChatDeltas, type Delta, type ToolCallDelta } from './chat-deltas.ts';
import { planChat, schemaOf, type ChatPlan } from './chat-plan.ts';
import { chatLogprobs, type TokenLogprob } from './log-probs.ts';
import { chatRequest, type ChatRequest } from './requests.ts';
import { generateOptions } from './sampling.ts';
import type { Job, Run, Service } from './service.ts';
import { finishReason, usageCounts, type ApiFinishReason, type UsageCounts } from './usage.ts';
import type { Usage } from '../chat/types.ts';

/** An event of a streamed chat completion. */
interface Chunk {
  readonly id: string;
  readonly object: 'chat.completion.chunk';
  readonly created: number;
  readonly model: string;
  readonly choices: readonly {
    readonly index: number;
    readonly delta: Delta;
    readonly logprobs: { readonly content: readonly TokenLogprob[] } | null;
    readonly finish_reason: ApiFinishReason | null;
  }[];
  readonly usage?: UsageCounts | null;
}

/** A request that was understood: how it is written, and in which form. */
export interface Prepared {
  readonly isStream: boolean;
  readonly jobs: readonly Job[];
  /** Field that the prompts came from. */
  readonly param: string;
  /** Events of a stream. */
  stream(run: Run): AsyncGenerator<unknown, void, void>;
  /** The whole answer. */
  collect(run: Run): Promise<unknown>;
}

/** @param model - its name @throws ApiError 400, CheckpointError `chat-template` */
export function prepareChat(service: Service, model: string, body: unknown): Prepared {
  const request = parseRequest(chatRequest, body);
  const plan = planChat(service, request);
  const choices = request.n ?? 1;
  const maxTokens = request.max_completion_tokens ?? request.max_tokens ?? undefined;
  const top = request.logprobs ? (request.top_logprobs ?? 0) : undefined;
  const jobs = Array.from({ length: choices }, (_, index): Job => {
    const own = { ...generateOptions(request, maxTokens, index), logProbabilities: top };
    const held = plan.grammar ? { constraint: plan.grammar } : { schema: schemaOf(request) };
    return { prompt: plan.prompt, options: { ...own, ...held }, keepSpecial: plan.reader !== undefined };
  });
  const head = { id: `chatcmpl-${crypto.randomUUID()}`, created: Math.floor(Date.now() / 1000), model };
  const stream = (run: Run) => chunks(run, service, request, plan, head);
  return {
    isStream: request.stream ?? false,
    jobs,
    param: 'messages',
    stream,
    collect: async (run) =>
      folded(chunks(run, service, { ...request, stream_options: { include_usage: true } }, plan, head)),
  };
}

type Head = Pick<Chunk, 'id' | 'created' | 'model'>;

async function* chunks(
  run: Run,
  service: Service,
  request: ChatRequest,
  plan: ChatPlan,
  head: Head,
): AsyncGenerator<Chunk, void, void> {
  const choices = request.n ?? 1;
  const hasUsage = request.stream_options?.include_usage === true;
  const chunk = (index: number, delta: Delta, rest: Partial<Chunk['choices'][number]> = {}): Chunk => ({
    ...head,
    object: 'chat.completion.chunk',
    choices: [{ index, delta, logprobs: null, finish_reason: null, ...rest }],
    ...(hasUsage ? { usage: null } : {}),
  });
  const usages: Usage[] = [];
  const most = request.parallel_tool_calls === false ? 1 : Infinity;
  const deltas = Array.from({ length: choices }, () => new ChatDeltas(plan.reader?.(), most));
  for (let index = 0; index < choices; index++) yield chunk(index, { role: 'assistant', content: '' });
  for await (const event of run.events) {
    const own = deltas[event.index] as ChatDeltas;
    if (event.type === 'end') {
      usages[event.index] = event.usage;
      for (const delta of own.end()) yield chunk(event.index, delta);
      yield chunk(event.index, {}, { finish_reason: finishReason(event.usage, own.calls, plan.grammar !== undefined) });
      continue;
    }
    const { text, tokens } = event.piece;
    const logprobs = request.logprobs ? { content: chatLogprobs(tokens, service.tokenizer) } : null;
    const [first, ...others] = own.push(text);
    if (first || logprobs) yield chunk(event.index, first ?? {}, { logprobs });
    for (const delta of others) yield chunk(event.index, delta);
  }
  if (hasUsage) yield { ...head, object: 'chat.completion.chunk', choices: [], usage: usageCounts(usages, choices) };
}

/** A choice as its chunks add up. */
interface Folded {
  content: string;
  readonly calls: ToolCallDelta[];
  logprobs: TokenLogprob[] | null;
  finish: ApiFinishReason | null;
}

/** What the chunks of a stream add up to. */
async function folded(stream: AsyncGenerator<Chunk, void, void>): Promise<unknown> {
  const choices: Folded[] = [];
  let last: Chunk | undefined;
  for await (const chunk of stream) {
    last = chunk;
    for (const { index, delta, logprobs, finish_reason } of chunk.choices) {
      const choice = (choices[index] ??= { content: '', calls: [], logprobs: null, finish: null });
      choice.content += delta.content ?? '';
      choice.calls.push(...(delta.tool_calls ?? []));
      if (logprobs) choice.logprobs = [...(choice.logprobs ?? []), ...logprobs.content];
      choice.finish = finish_reason ?? choice.finish;
    }
  }
  const { created, model, usage, ...head } = last as Chunk;
  return {
    id: head.id,
    object: 'chat.completion',
    created,
    model,
    choices: choices.map(({ content, calls, logprobs, finish }, index) => ({
      index,
      message: {
        role: 'assistant',
        content: calls.length > 0 && content === '' ? null : content,
        refusal: null,
        ...(calls.length > 0
          ? { tool_calls: calls.map(({ id, type, function: called }) => ({ id, type, function: called })) }
          : {}),
      },
      logprobs: logprobs && { content: logprobs },
      finish_reason: finish,
    })),
    usage,
  };
}
