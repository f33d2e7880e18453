// A book of 8K tokens through the page Long document, by dense attention and by HiP: SmolLM2 from a file against the reference; pass-keys by two models.
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
 * The novel as it is, by SmolLM2, against the losses that the reference has.
 *
 * @throws where the files are missing
 */
export async function bookRows(tab: TestPage, tokens: number, log: (line: string) => void): Promise<Row[]> {
  const { smollm2, goldens } = files();
  const reference = await referencePerplexity(goldens, tokens);
  await open(tab, tokens);
  await load(tab.page, smollm2);
  return read(tab.page, smollm2, tokens, undefined, log, (perplexity) => ({
    reference: Number(reference.toFixed(3)),
    timesReference: Number((perplexity / reference).toFixed(4)),
  }));
}

/**
 * The novel with a pass-key in it, by the bundled model, which was trained to find such, and by SmolLM2, which was not.
 *
 * @param depths - percent of the text before it
 * @throws where the files are missing
 */
export async function passKeyRows(
  tab: TestPage,
  tokens: number,
  depths: readonly number[],
  log: (line: string) => void,
): Promise<Row[]> {
  await open(tab, tokens);
  const rows: Row[] = [];
  for (const model of [undefined, files().smollm2]) {
    await load(tab.page, model);
    for (const depth of depths) rows.push(...(await read(tab.page, model, tokens, depth, log, () => ({}))));
  }
  return rows;
}

function files(): { readonly smollm2: string; readonly novel: string; readonly goldens: string } {
  const smollm2 = sharedPath('models', 'smollm2-135m-instruct', GGUF);
  const novel = sharedPath('data', 'books', NOVEL);
  const goldens = sharedPath('goldens', 'smollm2', 'books.safetensors');
  if (smollm2 && novel && goldens) return { smollm2, novel, goldens };
  throw new Error('needs models/smollm2-135m-instruct, data/books and goldens/smollm2 of ../shared');
}

async function open({ page, url }: TestPage, tokens: number): Promise<void> {
  await openIsolated(page, `${url}/document/`);
  await page.select('select[name=backend]', 'wasm');
  await page.select('select[name=tokens]', String(tokens));
  await pick(page, 'input[type=file][name=text]', files().novel);
}

/** @param file - none: the bundled model */
async function load(page: Page, file: string | undefined): Promise<void> {
  await press(page, `input[value=${file ? 'files' : 'bundled'}]`);
  if (file) await pick(page, 'input[name=files]', file);
  await press(page, 'button[name=load]');
  await status(page, file ? /^llama: 30 layers/ : /^llama: 6 layers/, MINUTES);
}

async function read(
  page: Page,
  file: string | undefined,
  tokens: number,
  depth: number | undefined,
  log: (line: string) => void,
  more: (perplexity: number) => Row,
): Promise<Row[]> {
  const model = file ? 'SmolLM2-135M-Instruct, Q4_1' : 'books-lm-6m';
  log(`${model} reads ${tokens} tokens of the novel${depth === undefined ? '' : `, a pass-key at ${depth} % of it`}`);
  const rows = (await reading(page, depth)).map((row) => {
    return { page: '/document', model, tokens, ...row, ...more(Number(row['perplexity'])) };
  });
  for (const row of rows) log(JSON.stringify(row));
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
    const { perplexity, ms, rate, first, token, memory, answer: said } = await figuresOf(page, lane);
    // On one line, as a row of a table needs it.
    const answer = said?.replaceAll(/\s+/g, ' ');
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
