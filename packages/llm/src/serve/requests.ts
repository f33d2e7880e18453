// What the endpoints are asked, as the OpenAI API has it. Fields that nobody here reads are let through; what would change the answer and
// is not there is refused where it is used.
import * as v from 'valibot';

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const between = (low: number, high: number) => v.pipe(v.number(), v.minValue(low), v.maxValue(high));

/** Choices of one request at most. */
const MOST_CHOICES = 16;
/** Likeliest tokens that are reported at most. */
const MOST_LIKELY = 20;
const MOST_STOPS = 16;

const stops = v.pipe(v.array(v.pipe(v.string(), v.nonEmpty())), v.maxLength(MOST_STOPS));

/** Fields of every generation. */
const sampling = {
  model: v.nullish(v.string()),
  stream: v.nullish(v.boolean(), false),
  stream_options: v.nullish(v.object({ include_usage: v.nullish(v.boolean(), false) })),
  n: v.nullish(v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(MOST_CHOICES)), 1),
  max_tokens: v.nullish(count),
  temperature: v.nullish(between(0, 2)),
  top_p: v.nullish(v.pipe(v.number(), v.gtValue(0), v.maxValue(1))),
  frequency_penalty: v.nullish(between(-2, 2), 0),
  presence_penalty: v.nullish(between(-2, 2), 0),
  seed: v.nullish(v.pipe(v.number(), v.safeInteger())),
  stop: v.nullish(v.union([v.pipe(v.string(), v.nonEmpty()), stops])),
  logit_bias: v.nullish(v.record(v.pipe(v.string(), v.regex(/^\d+$/, 'keys are token ids')), between(-100, 100))),
  // What others than OpenAI have beside it.
  top_k: v.nullish(count),
  min_p: v.nullish(between(0, 1)),
  grammar: v.nullish(v.string()),
  repetition_penalty: v.nullish(v.pipe(v.number(), v.gtValue(0), v.maxValue(100))),
};

const textPart = v.object({ type: v.literal('text', 'only parts of type "text" can be read'), text: v.string() });
const content = v.union([v.string(), v.array(textPart)]);

const toolCall = v.object({
  id: v.nullish(v.string()),
  type: v.nullish(v.literal('function')),
  function: v.object({ name: v.string(), arguments: v.string() }),
});

const plainMessage = <const Role extends string>(role: Role) =>
  v.object({ role: v.literal(role), content, name: v.nullish(v.string()) });

const message = v.variant('role', [
  plainMessage('system'),
  plainMessage('developer'),
  plainMessage('user'),
  v.object({
    role: v.literal('assistant'),
    content: v.nullish(content),
    tool_calls: v.nullish(v.array(toolCall)),
    name: v.nullish(v.string()),
  }),
  v.object({ role: v.literal('tool'), content, tool_call_id: v.string(), name: v.nullish(v.string()) }),
]);

const tool = v.object({
  type: v.literal('function', 'only tools of type "function" can be called'),
  function: v.object({
    name: v.pipe(v.string(), v.regex(/^[\w-]{1,64}$/, 'names are letters, digits, _ and -, 64 at most')),
    description: v.nullish(v.string()),
    parameters: v.nullish(v.record(v.string(), v.unknown())),
    strict: v.nullish(v.boolean()),
  }),
});

const toolChoice = v.union([
  v.picklist(['none', 'auto', 'required']),
  v.object({ type: v.literal('function'), function: v.object({ name: v.string() }) }),
]);

const responseFormat = v.variant('type', [
  v.object({ type: v.literal('text') }),
  v.object({ type: v.literal('json_object') }),
  v.object({
    type: v.literal('json_schema'),
    json_schema: v.object({
      name: v.nullish(v.string()),
      schema: v.union([v.record(v.string(), v.unknown()), v.boolean()]),
      strict: v.nullish(v.boolean()),
    }),
  }),
]);

const chatFields = v.object({
  ...sampling,
  messages: v.pipe(v.array(message), v.minLength(1, 'at least one message is needed')),
  max_completion_tokens: v.nullish(count),
  logprobs: v.nullish(v.boolean(), false),
  top_logprobs: v.nullish(v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(MOST_LIKELY))),
  response_format: v.nullish(responseFormat),
  tools: v.nullish(v.array(tool)),
  tool_choice: v.nullish(toolChoice),
  parallel_tool_calls: v.nullish(v.boolean()),
  chat_template_kwargs: v.nullish(v.record(v.string(), v.unknown())),
  modalities: v.nullish(v.array(v.literal('text', 'only text can be written'))),
  // The old form of tools: let through only where it says that none is to be called.
  functions: v.nullish(v.array(v.unknown())),
  function_call: v.nullish(v.literal('none', 'function_call is the old form: use tool_choice')),
});
/** Body of `POST /v1/chat/completions`. */
export const chatRequest = v.pipe(
  chatFields,
  v.forward(
    v.check(
      ({ functions, function_call }) => !functions?.length || function_call === 'none',
      'functions are the old form: use tools',
    ),
    ['functions'],
  ),
);
export type ChatRequest = v.InferOutput<typeof chatRequest>;
export type ChatRequestMessage = ChatRequest['messages'][number];

const tokenIds = v.pipe(v.array(count), v.minLength(1));

/** Body of `POST /v1/completions`. */
export const completionRequest = v.object({
  ...sampling,
  prompt: v.union([
    v.pipe(v.string(), v.nonEmpty()),
    v.pipe(v.array(v.pipe(v.string(), v.nonEmpty())), v.minLength(1), v.maxLength(MOST_CHOICES)),
    tokenIds,
    v.pipe(v.array(tokenIds), v.minLength(1), v.maxLength(MOST_CHOICES)),
  ]),
  echo: v.nullish(v.boolean(), false),
  logprobs: v.nullish(v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(MOST_LIKELY))),
  best_of: v.nullish(v.literal(1, 'best_of is not there: ask for n, and choose')),
  suffix: v.nullish(v.literal('', 'suffix is not there')),
});
export type CompletionRequest = v.InferOutput<typeof completionRequest>;

/** Fields that both generations have. */
export type SamplingRequest = Omit<v.InferOutput<v.ObjectSchema<typeof sampling, undefined>>, never>;

const MOST_TEXTS = 2048;

/** Body of `POST /v1/embeddings`. */
export const embeddingRequest = v.object({
  model: v.nullish(v.string()),
  input: v.union([
    v.pipe(v.string(), v.nonEmpty()),
    v.pipe(v.array(v.pipe(v.string(), v.nonEmpty())), v.minLength(1), v.maxLength(MOST_TEXTS)),
  ]),
  encoding_format: v.nullish(v.picklist(['float', 'base64']), 'float'),
  dimensions: v.nullish(v.pipe(v.number(), v.safeInteger(), v.minValue(1))),
});
export type EmbeddingRequest = v.InferOutput<typeof embeddingRequest>;
