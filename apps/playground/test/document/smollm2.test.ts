// SmolLM2 on the page of long documents: from a file and over HTTP, against the reference's perplexity and conversations.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSafetensors } from '@hip/checkpoints';
import { describeBrowser, missingShared, sharedPath } from '@hip/testing';
import { serve, type TestPage, type TestServer } from '@hip/testing/browser';
import { builtSite, openIsolated, picture, press, pressWhen, text, waitForText } from '../site.ts';
import { visitor, type Visitor } from './visitor.ts';

const models = sharedPath('models', 'smollm2-135m-instruct');
const goldens = sharedPath('goldens', 'smollm2');
const books = sharedPath('data', 'books');
const GGUF = 'SmolLM2-135M-Instruct.Q4_1.gguf';
/** Words of a text for which HiP selects: it does from 1,024 tokens on. */
const WORDS = 760;

describeBrowser('the page of long documents', (open) => {
  describe.skipIf(!models || !goldens || !books)(`SmolLM2${missingShared('models/smollm2-135m-instruct')}`, () => {
    let tab: TestPage;
    let visit: Visitor;
    let other: TestServer;
    beforeAll(async () => {
      other = await serve({ root: models!, isolated: false, cors: true });
      tab = await open({ root: await builtSite(), isolated: false });
      visit = visitor(tab.page);
      await openIsolated(tab.page, `${tab.url}/document/`);
    });
    afterAll(async () => {
      await tab?.[Symbol.asyncDispose]();
      await other?.[Symbol.asyncDispose]();
    });
    const { conversations } = JSON.parse(goldens ? readFileSync(join(goldens, 'chats.json'), 'utf8') : '{}') as {
      conversations: readonly (readonly { readonly prompt: string; readonly text: string }[])[];
    };

    const ask = async (question: string): Promise<void> => {
      await visit.type('textarea[name=question]', question);
      await press(tab.page, 'button[name=send]');
    };

    it('is read from this device, and its perplexity is the reference’s', async () => {
      const { page } = tab;
      await visit.source('files');
      await visit.pick('input[name=files]', join(models!, GGUF));
      await visit.choose('backend', 'wasm');
      await visit.choose('lanes', 'both');
      await visit.choose('tokens', '2048');
      await press(page, 'button[name=load]');
      await waitForText(page, '.status', /^llama: 30 layers/);
      const novel = readFileSync(join(books!, 'herman-melville_moby-dick.txt'), 'utf8');
      // Without the space at its end, which would be a token of its own.
      const start = novel
        .split(/(?<= )/)
        .slice(0, WORDS)
        .join('')
        .trimEnd();
      await visit.type('textarea[name=typed]', start);
      await visit.hide(false);
      await visit.read();
      const tokens = Number(
        (await waitForText(page, '[data-lane=dense] .bar', /tokens$/))
          .match(/of ([\d,]+) tokens/)![1]!
          .replace(',', ''),
      );
      expect(tokens).toBeGreaterThan(1100);
      const golden = await openSafetensors(readFileSync(join(goldens!, 'books.safetensors')));
      const losses = Array.from((await golden.read('moby-dick.0.nll')).data, Number).slice(0, tokens - 1);
      const reference = Math.exp(losses.reduce((sum, loss) => sum + loss, 0) / losses.length);
      const [dense, hip] = [
        Number(await visit.figure('dense', 'perplexity')),
        Number(await visit.figure('hip', 'perplexity')),
      ];
      expect(Math.abs(dense / reference - 1)).toBeLessThan(0.005);
      expect(hip / dense).toBeLessThan(1.01);
      expect(hip / dense).toBeGreaterThan(0.99);
    });

    it('answers as the reference does, and stops', async () => {
      const [turn] = conversations[0]!;
      await ask(turn!.prompt);
      await waitForText(tab.page, '[data-answer=hip] .note', /tokens before it/);
      expect(await text(tab.page, '[data-answer=hip] blockquote')).toBe(turn!.text);
      expect(await text(tab.page, '[data-answer=dense] blockquote')).toBe(turn!.text);
      await visit.type('textarea[name=question]', 'Tell me a long story about it.');
      const answer = ['.turns > li:nth-child(2) [data-answer=hip] blockquote', /.{4}/] as const;
      await pressWhen(tab.page, 'button[name=stop-chat]', answer, () => tab.page.keyboard.press('Enter'));
      await waitForText(tab.page, '[aria-labelledby=chat] .status', /^Stopped/);
      await picture(tab.page, 'document-chat');
    });

    it('is read over the network, and the second time without it', async () => {
      const { page } = tab;
      await page.reload({ waitUntil: 'load' });
      for (const time of ['first', 'second']) {
        await visit.source('address');
        await visit.type('input[name=address]', `${other.url}/${GGUF}`);
        await visit.choose('backend', 'wasm');
        await visit.choose('lanes', 'hip');
        await press(page, 'button[name=load]');
        await visit.loaded();
        const [turn] = conversations[0]!;
        await ask(turn!.prompt);
        await waitForText(page, '[data-answer=hip] .note', /tokens before it/);
        expect(await text(page, '[data-answer=hip] blockquote'), time).toBe(turn!.text);
        if (time === 'second') return;
        await other[Symbol.asyncDispose]();
        await page.reload({ waitUntil: 'load' });
      }
    });

    it('logs no error', () => {
      // Files that a model may do without are asked for, and are not there.
      expect(tab.errors.filter((error) => !/ERR_ABORTED|404/.test(error))).toEqual([]);
    });
  });
});
