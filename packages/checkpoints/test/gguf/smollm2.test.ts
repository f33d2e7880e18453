// SmolLM2 from the GGUF as it is published: the configuration and the tokenizer are those of the files beside it.
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { missingShared, sharedPath } from '@hip/testing';
import type { ChatMessage } from '../../src/chat/template.ts';
import { openCheckpoint } from '../../src/checkpoint.ts';
import type { OpenCheckpoint } from '../../src/checkpoint.ts';
import { createTokenizer } from '../../src/tokenizer/tokenizer.ts';
import type { TextTokenizer } from '../../src/tokenizer/tokenizer.ts';
import { dequantize } from '../../src/gguf/dequantize.ts';
import { weightSlots } from '../../src/model/slots.ts';
import { readSlots } from '../../src/weights/read-slots.ts';

const folder = sharedPath('models', 'smollm2-135m-instruct');
const goldens = sharedPath('goldens', 'smollm2');
const book = sharedPath('data', 'books', 'herman-melville_moby-dick.txt');
const missing = missingShared(
  'models/smollm2-135m-instruct',
  'goldens/smollm2',
  'data/books/herman-melville_moby-dick.txt',
);

interface Turn {
  readonly prompt: string;
  readonly text: string;
  readonly rendered: string;
  readonly input_ids: readonly number[];
}

describe.skipIf(missing)(`SmolLM2${missing}`, () => {
  let gguf: OpenCheckpoint;
  let own: TextTokenizer;
  let published: TextTokenizer;
  let conversations: readonly (readonly Turn[])[];
  beforeAll(async () => {
    gguf = await openCheckpoint(`${folder}/SmolLM2-135M-Instruct.Q4_1.gguf`);
    own = (await gguf.tokenizer())!;
    ({ conversations } = JSON.parse(readFileSync(`${goldens}/chats.json`, 'utf8')) as { conversations: Turn[][] });
    const json = async (name: string) => JSON.parse(await readFile(`${folder}/${name}`, 'utf8')) as object;
    published = createTokenizer(await json('tokenizer.json'), await json('tokenizer_config.json'));
  });
  afterAll(() => gguf.close());

  it('says the same model as config.json, and is found in its folder', async () => {
    await using beside = await openCheckpoint(folder!);
    expect([gguf.format, beside.format]).toEqual(['gguf', 'gguf']);
    expect(gguf.config).toEqual({ ...beside.config, raw: gguf.config.raw });
    expect(gguf.config).toMatchObject({ family: 'llama', layers: 30, heads: 9, kvHeads: 3, tiedEmbeddings: true });
    expect(JSON.parse((await gguf.files.text('config.json'))!)).toEqual(gguf.config.raw);
    expect(await beside.files.text('tokenizer.json')).toBe(await readFile(`${folder}/tokenizer.json`, 'utf8'));
  });

  it('renders and tokenises all conversations as transformers did', async () => {
    await using beside = await openCheckpoint(folder!);
    const template = await gguf.chatTemplate();
    expect(conversations.flat()).toHaveLength(11);
    for (const conversation of conversations) {
      const messages: ChatMessage[] = [];
      for (const { prompt, rendered, input_ids, text } of conversation) {
        messages.push({ role: 'user', content: prompt });
        expect(template!.render(messages, { addGenerationPrompt: true })).toBe(rendered);
        expect(await beside.renderChat(messages, { addGenerationPrompt: true })).toBe(rendered);
        expect(own.encode(rendered, { addSpecialTokens: false })).toEqual(input_ids);
        expect(own.decode(input_ids, { skipSpecialTokens: false })).toBe(rendered);
        messages.push({ role: 'assistant', content: text });
      }
    }
    expect(await gguf.generation()).toEqual({ sample: false, stopIds: [2] });
  });

  it('tokenises a book as tokenizer.json does', () => {
    const text = readFileSync(book!, 'utf8').slice(20_000, 60_000);
    const ids = own.encode(text);
    expect(ids.length).toBeGreaterThan(5000);
    expect(ids).toEqual(published.encode(text));
    const odd = "  12345 naïve\t\n\n   日本語 🐳 don’t DON'T <|im_start|>x\r\n";
    expect(own.encode(odd)).toEqual(published.encode(odd));
  });

  it('reads weights as they are stored and as float32', async () => {
    const [key] = weightSlots(gguf.config).filter(({ name }) => name === 'layers.3.attention.key.weight');
    const values = (await readSlots(gguf, [key!])).get(key!.name)!;
    const { dtype, shape, bytes } = await gguf.weights.readRaw('blk.3.attn_k.weight', { rows: [64, 128] });
    expect([dtype, shape]).toEqual(['Q4_1', [64, 576]]);
    // The second key head: feature 33 is stored in row 3 (1 + 2·1), the pair of feature 1.
    const stored = dequantize(bytes, 'Q4_1').subarray(3 * 576, 4 * 576);
    const column = Float32Array.from({ length: 576 }, (_, i) => values[i * 192 + 64 + 33]!);
    expect(column).toEqual(stored);
    expect(gguf.bind([key!])).toEqual([
      { slot: key!.name, tensor: 'blk.3.attn_k.weight', transform: 'transpose', paired: 64 },
    ]);
  });
});
