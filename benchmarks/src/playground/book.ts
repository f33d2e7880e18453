// A book of 8K tokens through the page Long document, by dense attention and by HiP: SmolLM2 from a file against the reference, and pass-keys.
import { readFileSync } from 'node:fs';
import { openSafetensors } from '@hip/checkpoints';
import { sharedPath } from '@hip/testing';
import type { TestPage } from '@hip/testing/browser';
import { figuresOf, fill, openIsolated, pick, press, status, type Page } from './page.ts';

const GGUF = 'SmolLM2-135M-Instruct.Q4_1.gguf';
const NOVEL = 'herman-melville_moby-dick.txt';
/** Until a text is read; on a busy machine a small processor takes a quarter of an hour. */
const MINUTES = 90;

type Row = Record<string, unknown>;

/**
 * The novel as it is, whose losses the reference has, by SmolLM2; with a pass-key in it, by the bundled model, which was
 * trained to find such (SmolLM2 finds half of them at 1K with dense attention).
 *
 * @throws where the files are missing
 */
export async function bookRows({ page, url }: TestPage, tokens: number, log: (line: string) => void): Promise<Row[]> {
  const model = sharedPath('models', 'smollm2-135m-instruct', GGUF);
  const novel = sharedPath('data', 'books', NOVEL);
  const goldens = sharedPath('goldens', 'smollm2', 'books.safetensors');
  if (!model || !novel || !goldens) {
    throw new Error('needs models/smollm2-135m-instruct, data/books and goldens/smollm2 of ../shared');
  }
  await openIsolated(page, `${url}/document/`);
  await page.select('select[name=backend]', 'wasm');
  await page.select('select[name=tokens]', String(tokens));
  await pick(page, 'input[type=file][name=text]', novel);
  const rows: Row[] = [];
  const read = async (name: string, depth: number | undefined, more: (perplexity: number) => Row): Promise<void> => {
    log(`${name} reads ${tokens} tokens of the novel${depth === undefined ? '' : ', a pass-key in it'}`);
    for (const row of await reading(page, depth)) {
      rows.push({ page: '/document', model: name, tokens, ...row, ...more(Number(row['perplexity'])) });
      log(JSON.stringify(rows.at(-1)));
    }
  };
  await press(page, 'input[value=files]');
  await pick(page, 'input[name=files]', model);
  await press(page, 'button[name=load]');
  await status(page, /^llama: 30 layers/, MINUTES);
  const reference = await referencePerplexity(goldens, tokens);
  await read('SmolLM2-135M-Instruct, Q4_1', undefined, (perplexity) => ({
    reference: Number(reference.toFixed(3)),
    timesReference: Number((perplexity / reference).toFixed(4)),
  }));
  await press(page, 'input[value=bundled]');
  await press(page, 'button[name=load]');
  await status(page, /^llama: 6 layers/);
  await read('books-lm-6m', 30, () => ({}));
  return rows;
}

/** Both readers' figures of one text. @param depth - percent of the text before the pass-key; undefined: none is hidden */
async function reading(page: Page, depth: number | undefined): Promise<Row[]> {
  const isHidden = await page.$eval('input[name=hide]', (box) => (box as unknown as { checked: boolean }).checked);
  if (isHidden !== (depth !== undefined)) await press(page, 'input[name=hide]');
  if (depth !== undefined) await fill(page, 'depth', depth);
  await press(page, 'button[name=read]');
  await status(page, /^HiP read/, MINUTES);
  const rows: Row[] = [];
  for (const lane of ['dense', 'hip']) {
    const { perplexity, ms, rate, first, token, memory, answer } = await figuresOf(page, lane);
    rows.push({
      lane,
      ...(depth === undefined
        ? {}
        : { passKeyAt: `${depth} %`, foundPassKey: answer?.startsWith('Found') ?? false, answer }),
      perplexity: Number(perplexity),
      time: ms,
      tokensPerSecond: rate,
      firstToken: first,
      oneMoreToken: token,
      memory,
    });
  }
  return rows;
}

/** exp of the mean loss of the first tokens, by the reference implementation. */
async function referencePerplexity(path: string, tokens: number): Promise<number> {
  const golden = await openSafetensors(readFileSync(path));
  const losses = Array.from((await golden.read('moby-dick.0.nll')).data, Number).slice(0, tokens - 1);
  return Math.exp(losses.reduce((sum, loss) => sum + loss, 0) / losses.length);
}
