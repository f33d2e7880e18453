// POST /v1/completions: texts that go on.
import { parseRequest } from './body.ts';
import type { Prepared } from './chat-completions.ts';
import { textLogprobs, type TextLogprobs } from './log-probs.ts';
import { completionRequest, type CompletionRequest } from './requests.ts';
import { generateOptions } from './sampling.ts';
import type { Job, Run, Service } from './service.ts';
import { finishReason, usageCounts, type ApiFinishReason, type UsageCounts } from './usage.ts';
import type { Usage } from '../chat/types.ts';

/** An event of a streamed completion; the whole one has the same form. */
interface Chunk {
  readonly id: string;
  readonly object: 'text_completion';
  readonly created: number;
  readonly model: string;
  readonly choices: readonly {
    readonly index: number;
    readonly text: string;
    readonly logprobs: TextLogprobs | null;
    readonly finish_reason: ApiFinishReason | null;
  }[];
  readonly usage?: UsageCounts | null;
}

/** @param model - its name @throws ApiError 400 */
export function prepareCompletion(service: Service, model: string, body: unknown): Prepared {
  const request = parseRequest(completionRequest, body);
  const prompts = promptsOf(request).map((prompt) =>
    typeof prompt === 'string' ? service.tokenizer.encode(prompt) : prompt,
  );
  const choices = request.n ?? 1;
  const jobs = prompts.flatMap((prompt, at) =>
    Array.from({ length: choices }, (_, index): Job => {
      const options = generateOptions(request, request.max_tokens ?? undefined, at * choices + index);
      return { prompt, options: { ...options, logProbabilities: request.logprobs ?? undefined } };
    }),
  );
  const head = {
    id: `cmpl-${crypto.randomUUID()}`,
    object: 'text_completion',
    created: Math.floor(Date.now() / 1000),
    model,
  } as const;
  return {
    isStream: request.stream ?? false,
    jobs,
    param: 'prompt',
    stream: (run) => chunks(run, service, request, head),
    collect: async (run) => folded(chunks(run, service, { ...request, stream_options: { include_usage: true } }, head)),
  };
}

/** One or several, as texts or as tokens. */
function promptsOf({ prompt }: CompletionRequest): readonly (string | readonly number[])[] {
  if (typeof prompt === 'string') return [prompt];
  return typeof prompt[0] === 'number' ? [prompt as number[]] : (prompt as string[] | number[][]);
}

type Head = Pick<Chunk, 'id' | 'object' | 'created' | 'model'>;

async function* chunks(
  run: Run,
  service: Service,
  request: CompletionRequest,
  head: Head,
): AsyncGenerator<Chunk, void, void> {
  const choices = request.n ?? 1;
  const prompts = promptsOf(request);
  const hasUsage = request.stream_options?.include_usage === true;
  const chunk = (index: number, text: string, rest: Partial<Chunk['choices'][number]> = {}): Chunk => ({
    ...head,
    choices: [{ index, text, logprobs: null, finish_reason: null, ...rest }],
    ...(hasUsage ? { usage: null } : {}),
  });
  const usages: Usage[] = [];
  const offsets: number[] = [];
  const echoes = prompts.map((prompt) => {
    if (!request.echo) return '';
    return typeof prompt === 'string' ? prompt : service.tokenizer.decode(prompt, { skipSpecialTokens: false });
  });
  for (let index = 0; index < choices * prompts.length; index++) {
    const echo = echoes[Math.floor(index / choices)] as string;
    offsets[index] = echo.length;
    yield chunk(index, echo);
  }
  for await (const event of run.events) {
    const { index } = event;
    if (event.type === 'end') {
      usages[index] = event.usage;
      yield chunk(index, '', { finish_reason: finishReason(event.usage) });
      continue;
    }
    const { text, tokens } = event.piece;
    const hasLogprobs = request.logprobs !== null && request.logprobs !== undefined;
    const logprobs = hasLogprobs ? textLogprobs(tokens, service.tokenizer, offsets[index] as number) : null;
    for (const token of logprobs?.tokens ?? []) offsets[index] = (offsets[index] as number) + token.length;
    if (text !== '' || logprobs) yield chunk(index, text, { logprobs });
  }
  if (hasUsage) yield { ...head, choices: [], usage: usageCounts(usages, choices) };
}

/** What the chunks of a stream add up to. */
async function folded(stream: AsyncGenerator<Chunk, void, void>): Promise<Chunk> {
  const choices: {
    index: number;
    text: string;
    logprobs: TextLogprobs | null;
    finish_reason: ApiFinishReason | null;
  }[] = [];
  let last: Chunk | undefined;
  for await (const chunk of stream) {
    last = chunk;
    for (const { index, text, logprobs, finish_reason } of chunk.choices) {
      const choice = (choices[index] ??= { index, text: '', logprobs: null, finish_reason: null });
      choice.text += text;
      if (logprobs) choice.logprobs = joined(choice.logprobs, logprobs);
      choice.finish_reason = finish_reason ?? choice.finish_reason;
    }
  }
  return { ...(last as Chunk), choices };
}

function joined(before: TextLogprobs | null, more: TextLogprobs): TextLogprobs {
  if (!before) return more;
  return {
    tokens: [...before.tokens, ...more.tokens],
    token_logprobs: [...before.token_logprobs, ...more.token_logprobs],
    top_logprobs: [...before.top_logprobs, ...more.top_logprobs],
    text_offset: [...before.text_offset, ...more.text_offset],
  };
}
