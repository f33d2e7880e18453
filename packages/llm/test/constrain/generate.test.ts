// Constrained generation by real engines: a tiny model of random weights, which would write anything, and SmolLM2.
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { missingShared, sharedPath } from '@hip/testing';
import { openCheckpoint } from '@hip/checkpoints';
import { tokenBytes } from '../../src/constrain/token-tree.ts';
import type { LanguageModel } from '../../src/model/language-model.ts';
import { loadLanguageModel } from '../../src/model/load.ts';
import { chatFolder } from '../helpers/chat-folder.ts';
import { fakeModel, saying } from '../helpers/fake-model.ts';
import { bytes } from '../helpers/serving.ts';

const ajv = new Ajv2020({ strict: false });
const person = {
  type: 'object',
  properties: {
    name: { type: 'string' },
    age: { type: 'integer', minimum: 0, maximum: 150 },
    tags: { type: 'array', items: { type: 'string' } },
  },
  required: ['name', 'age'],
  additionalProperties: false,
};

describe('a model of random weights', () => {
  let model: LanguageModel;
  beforeAll(async () => {
    using folder = await chatFolder({ max_position_embeddings: 512 });
    model = await loadLanguageModel(folder.path, { threads: 1 });
  });
  afterAll(() => model?.close());
  const prompt = () => model.tokenizer.encode('A person:');
  const text = (ids: number[]) => model.tokenizer.decode(ids);

  it('writes what fits a schema, at any temperature, and wherever it is cut', async () => {
    const validate = ajv.compile(person);
    for (let seed = 0; seed < 12; seed++) {
      const options = {
        schema: person,
        seed,
        temperature: [0, 0.7, 1, 3][seed % 4]!,
        maxTokens: 23 + 9 * seed,
        topP: seed % 3 === 0 ? 0.9 : 1,
      };
      const ids = await model.generate(prompt(), options);
      expect(ids.length).toBeLessThanOrEqual(options.maxTokens);
      expect([validate(JSON.parse(text(ids))), validate.errors]).toEqual([true, null]);
    }
  });

  it('ends within its context too', async () => {
    const long = Array.from({ length: 460 }, (_, index) => 97 + (index % 26));
    const ids = await model.generate(long, { schema: person, temperature: 1, seed: 3, maxTokens: 10_000 });
    expect(ajv.validate(person, JSON.parse(text(ids)))).toBe(true);
    expect(ids.length).toBeLessThanOrEqual(53);
  });

  it('writes what fits a grammar, and characters whole', async () => {
    const grammar = 'root ::= "[" word ("," word)* "]"  # a list\nword ::= [a-c€é]{1,3} | "🙂"';
    for (let seed = 0; seed < 10; seed++) {
      const ids = await model.generate(prompt(), { grammar, temperature: 1.5, seed, maxTokens: 6 + 5 * seed });
      expect(text(ids)).toMatch(/^\[([a-c€é]{1,3}|🙂)(,([a-c€é]{1,3}|🙂))*\]$/u);
    }
  });

  it('holds a chat to it, and says why it ended', async () => {
    using chat = model.chat();
    const answer = chat.send('Yes or no?', { grammar: 'root ::= "yes" | "no"', temperature: 0 });
    expect(['yes', 'no']).toContain(await answer.text());
    expect(answer.usage!.finishReason).toBe('complete');
    const cut = chat.send('Who?', {
      schema: { type: 'array', items: { type: 'boolean' }, minItems: 40 },
      maxTokens: 4 * 60 + 80,
      temperature: 0,
    });
    expect(JSON.parse(await cut.text()).length).toBeGreaterThanOrEqual(40);
  });

  it('refuses too few tokens, stop strings, both at once, and what is no grammar', async () => {
    const code = async (options: object) => {
      const error: unknown = await model.generate(prompt(), options).catch((thrown: unknown) => thrown);
      return (error as { details: Record<string, unknown> }).details['name'];
    };
    expect(await code({ schema: person, maxTokens: 5 })).toBe('maxTokens');
    expect(await code({ schema: person, stopStrings: ['}'] })).toBe('stopStrings');
    expect(await code({ schema: person, grammar: 'root ::= "a"' })).toBe('grammar');
  });

  it('is held beside a hook and penalties', async () => {
    const banned = model.tokenizer.encode('"')[0]!;
    const ids = await model.generate(prompt(), {
      schema: { anyOf: [{ type: 'string' }, { type: 'boolean' }] },
      logitsHook: (logits) => void (logits[banned] = -Infinity),
      repetitionPenalty: 1.3,
      temperature: 1,
    });
    expect(['true', 'false']).toContain(text(ids));
  });
});

describe('a grammar', () => {
  it('leaves a model alone that keeps to it', async () => {
    const said = '{"name": "Ada", "age": 36}';
    const { model } = await fakeModel({ follow: saying(bytes(said)) });
    using chat = model.chat();
    expect(await chat.send('Who?', { schema: person, temperature: 0 }).text()).toBe(said);
  });

  it.each([
    ['root = "a"', /line 1: expected ::=/],
    ['root ::= "a', /expected "/],
    ['root ::= a', /no rule named a/],
    ['a ::= "b"', /no rule named root/],
    ['root ::= root "a" | "b"', /begins with itself/],
    ['root ::= ("a"', /expected \)/],
    ['root ::= "a"\nroot ::= "b"', /line 2.*root is there already/],
    ['root ::= [z-a]', /range/],
    ['root ::= "a"{3,2}', /count/],
    ['root ::= "\\xZZ"', /hexadecimal/],
    ['root ::= "a" root', /no finite text/],
    ['root ::= "a" )', /expected the name of a rule/],
  ])('that cannot be read is refused: %j', async (grammar, message) => {
    const { model } = await fakeModel();
    await expect(model.generate([97], { grammar })).rejects.toThrow(message);
  });

  it.each([
    ['root ::= "a"* "b"', ['b', 'ab', 'aaab'], ['a', 'ba']],
    ['root ::= ("ab" | "c")+ [^x-z] .', ['abcqr', 'c\n☃'], ['cx1', '']],
    [
      'root ::= expr\nexpr ::= term ("+" term)*\nterm ::= [0-9]+ | "(" expr ")"',
      ['1+2', '(1+(2))+34'],
      ['1+', '()', '1+2)'],
    ],
    ['root ::= "\\n" "\\u00e9" "\\x41" "\\"" "\\\\"', ['\né' + 'A"\\'], ['n']],
    ['root ::= "a"? b{2} c{1,} d{0,2}\nb ::= "b"\nc ::= "c"\nd ::= "d"', ['bbc', 'abbccdd'], ['bc', 'bbd', 'abbcddd']],
  ])('%j reads what it says', async (source, right, wrong) => {
    const { compileConstraint } = await import('../../src/constrain/compile.ts');
    const { tokenizer } = await fakeModel();
    const reads = (text: string): boolean => {
      const matcher = compileConstraint({ grammar: source }, tokenizer, 258)!.matcher();
      return matcher.accept([...bytes(text)]) && matcher.isEnd;
    };
    for (const text of right) expect([text, reads(text)]).toEqual([text, true]);
    for (const text of wrong) expect([text, reads(text)]).toEqual([text, false]);
  });
});

const folder = sharedPath('models', 'smollm2-135m-instruct');
describe.skipIf(!folder)(`SmolLM2${missingShared('models/smollm2-135m-instruct')}`, () => {
  it('has bytes of all its tokens that are characters, and of single bytes', async () => {
    await using checkpoint = await openCheckpoint(folder!);
    const tokenizer = (await checkpoint.tokenizer())!;
    const all = tokenBytes(tokenizer, 49_152);
    for (const text of ['Hello, world!\n  {"a": 1}', 'naïve café €', 'Привет 🙂 世界']) {
      const joined = tokenizer.encode(text, { addSpecialTokens: false }).map((id) => all[id]);
      const isKnown = joined.every((part) => part !== '');
      const decoded = new TextDecoder().decode(Uint8Array.from(joined.join(''), (letter) => letter.charCodeAt(0)));
      expect(isKnown ? decoded : text).toBe(text);
    }
    expect(new Set(all.filter((text) => text?.length === 1)).size).toBeGreaterThan(220);
    expect(all[tokenizer.tokenId('<|im_end|>')!]).toBe('');
  });

  it('answers in the form that it is asked for', async () => {
    using model = await loadLanguageModel(`${folder}/SmolLM2-135M-Instruct.Q4_1.gguf`, {
      contextTokens: 512,
      backend: 'wasm',
    });
    using chat = model.chat();
    const schema = {
      type: 'object',
      properties: { capital: { type: 'string', maxLength: 20 }, continent: { enum: ['Europe', 'Asia', 'Africa'] } },
      required: ['capital', 'continent'],
      additionalProperties: false,
    };
    const text = await chat
      .send('What is the capital of France, and on which continent is it? Answer in JSON.', {
        schema,
        temperature: 0,
        maxTokens: 60,
      })
      .text();
    expect(JSON.parse(text)).toEqual({ capital: 'Paris', continent: 'Europe' });
  });
});
