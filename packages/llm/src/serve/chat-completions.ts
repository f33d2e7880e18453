// POST /v1/chat/completions.
import { LlmError } from '../errors.ts';
import { Rendering } from '../chat/rendering.ts';
import { parseRequest } from './body.ts';
import { chatLogprobs, type TokenLogprob } from './log-probs.ts';
import { templateMessages } from './messages.ts';
import { chatRequest, type ChatRequest } from './requests.ts';
import { generateOptions } from './sampling.ts';
import type { Job, Run, Service } from './service.ts';
import { finishReason, usageCounts, type ApiFinishReason, type UsageCounts } from './usage.ts';
import type { Usage } from '../chat/types.ts';

/** What a chunk adds to a choice's message. */
interface Delta {
  readonly role?: 'assistant';
  readonly content?: string;
}

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
  const prompt = promptOf(service, request);
  const choices = request.n ?? 1;
  const maxTokens = request.max_completion_tokens ?? request.max_tokens ?? undefined;
  const top = request.logprobs ? (request.top_logprobs ?? 0) : undefined;
  const jobs = Array.from({ length: choices }, (_, index): Job => {
    const options = { ...generateOptions(request, maxTokens, index), schema: schemaOf(request), logProbabilities: top };
    return { prompt, options };
  });
  const head = { id: `chatcmpl-${crypto.randomUUID()}`, created: Math.floor(Date.now() / 1000), model };
  const stream = (run: Run) => chunks(run, service, request, head);
  return {
    isStream: request.stream ?? false,
    jobs,
    param: 'messages',
    stream,
    collect: async (run) => folded(chunks(run, service, { ...request, stream_options: { include_usage: true } }, head)),
  };
}

function promptOf(service: Service, request: ChatRequest): number[] {
  const { template, tokenizer } = service;
  if (!template) {
    throw new LlmError(
      'unsupported-model',
      'the model has no chat template: use /v1/completions, or load it with one',
      {
        param: 'messages',
      },
    );
  }
  const variables = request.chat_template_kwargs ?? undefined;
  return new Rendering(template, tokenizer, { variables }).prompt(templateMessages(request.messages));
}

/** What the answer is held to. */
function schemaOf({ response_format }: ChatRequest): unknown {
  if (response_format?.type === 'json_object') return { type: 'object' };
  return response_format?.type === 'json_schema' ? response_format.json_schema.schema : undefined;
}

type Head = Pick<Chunk, 'id' | 'created' | 'model'>;

async function* chunks(
  run: Run,
  service: Service,
  request: ChatRequest,
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
  for (let index = 0; index < choices; index++) yield chunk(index, { role: 'assistant', content: '' });
  for await (const event of run.events) {
    if (event.type === 'end') {
      usages[event.index] = event.usage;
      yield chunk(event.index, {}, { finish_reason: finishReason(event.usage) });
      continue;
    }
    const { text, tokens } = event.piece;
    const logprobs = request.logprobs ? { content: chatLogprobs(tokens, service.tokenizer) } : null;
    if (text !== '' || logprobs) yield chunk(event.index, { content: text }, { logprobs });
  }
  if (hasUsage) yield { ...head, object: 'chat.completion.chunk', choices: [], usage: usageCounts(usages, choices) };
}

/** A choice as its chunks add up. */
interface Folded {
  content: string;
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
      const choice = (choices[index] ??= { content: '', logprobs: null, finish: null });
      choice.content += delta.content ?? '';
      if (logprobs) choice.logprobs = [...(choice.logprobs ?? []), ...logprobs.content];
      choice.finish = finish_reason ?? choice.finish;
    }
  }
  const { id, created, model, usage } = last as Chunk;
  return {
    id,
    object: 'chat.completion',
    created,
    model,
    choices: choices.map(({ content, logprobs, finish }, index) => ({
      index,
      message: { role: 'assistant', content, refusal: null },
      logprobs: logprobs && { content: logprobs },
      finish_reason: finish,
    })),
    usage,
  };
}
