// What a soak asks of a server: answers that are known beforehand, and everything that clients do wrong.
import { seededRandom } from '@hip/checkpoints/generation';

/** A request whose answer is always the same. */
export interface Case {
  readonly path: '/chat/completions' | '/completions';
  readonly body: Readonly<Record<string, unknown>>;
}

/** What is done with a request. */
export type Action =
  | { readonly kind: 'ask' | 'stream' | 'slow'; readonly case: number }
  | { readonly kind: 'abort'; readonly case: number; readonly afterMs: number; readonly stream: boolean }
  | { readonly kind: 'drop'; readonly case: number; readonly afterMs: number; readonly bytes: number }
  | { readonly kind: 'bad'; readonly path: string; readonly text: string; readonly status: number };

const BEGINNINGS = [
  '',
  'It was a dark and stormy night; the rain fell in torrents, except at occasional intervals. ',
  'You are a guide to an old town by the sea. Answer in one sentence, and never twice the same. ',
  'Once upon a time there were four little rabbits, and their names were these. ',
];
const ENDS = ['Who?', 'What of the sea?', 'Go on.', 'Why so?', 'In the morning', 'The end'];
const SCHEMA = {
  type: 'object',
  properties: { name: { type: 'string', maxLength: 12 }, age: { type: 'integer', minimum: 0, maximum: 99 } },
  required: ['name', 'age'],
  additionalProperties: false,
};

/** Chats and texts with shared beginnings, greedy and drawn, some held to a schema. */
export function knownCases(model: string): Case[] {
  return BEGINNINGS.flatMap((beginning, b) =>
    ENDS.map((end, e): Case => {
      const drawn = (b + e) % 3 === 0 ? { temperature: 0.9, seed: 10 * b + e } : { temperature: 0 };
      const body = { model, max_tokens: 2 + 5 * e, ...drawn };
      if ((b + e) % 4 === 3) return { path: '/completions', body: { ...body, prompt: beginning + end } };
      const messages = [
        ...(beginning === '' ? [] : [{ role: 'system', content: beginning }]),
        { role: 'user', content: end },
      ];
      if ((b + e) % 5 !== 4) return { path: '/chat/completions', body: { ...body, messages } };
      const format = { type: 'json_schema', json_schema: { name: 'person', schema: SCHEMA } };
      return { path: '/chat/completions', body: { ...body, messages, max_tokens: 60, response_format: format } };
    }),
  );
}

/** Requests that must be refused, and with which status. */
function wrongRequests(model: string): Action[] {
  const chat = '/chat/completions';
  const user = [{ role: 'user', content: 'Well?' }];
  const all: readonly (readonly [path: string, text: string, status: number])[] = [
    [chat, '{"messages": [', 400],
    [chat, '', 400],
    [chat, JSON.stringify({ model, messages: [] }), 400],
    [chat, JSON.stringify({ model, messages: user, temperature: 'hot' }), 400],
    [chat, JSON.stringify({ model: 'other', messages: user }), 404],
    [chat, JSON.stringify({ model, messages: [{ role: 'user', content: 'x '.repeat(20_000) }] }), 400],
    ['/completions', JSON.stringify({ model, prompt: 7 }), 400],
    ['/completions', JSON.stringify({ model, prompt: 'x', grammar: 'root ::= (' }), 400],
    ['/nothing', '{}', 404],
    ['/embeddings', JSON.stringify({ input: 'x' }), 501],
  ];
  return all.map(([path, text, status]) => ({ kind: 'bad', path, text, status }));
}

/** So many actions, the same for the same seed. */
export function actions(count: number, cases: number, model: string, seed: number): Action[] {
  const random = seededRandom(seed);
  const wrong = wrongRequests(model);
  // Longer than the server takes; rare, since it takes as long as many others.
  const huge: Action = {
    kind: 'bad',
    path: '/completions',
    text: JSON.stringify({ model, prompt: 'x'.repeat(5_000_000) }),
    status: 413,
  };
  return Array.from({ length: count }, (): Action => {
    const roll = random();
    const one = Math.floor(random() * cases);
    if (roll < 0.3) return { kind: 'ask', case: one };
    if (roll < 0.6) return { kind: 'stream', case: one };
    if (roll < 0.65) return { kind: 'slow', case: one };
    if (roll < 0.77) return { kind: 'abort', case: one, afterMs: random() * 60, stream: random() < 0.5 };
    if (roll < 0.87) return { kind: 'drop', case: one, afterMs: random() * 40, bytes: Math.floor(random() * 400) };
    if (roll > 0.998) return huge;
    return wrong[Math.floor(random() * wrong.length)] as Action;
  });
}
