// What a visitor does on the page of long documents.
import { press, reseed, text, waitForText, type Page } from '../site.ts';

/** Of the pass-key: with it every model finds it by far, dense and with HiP. */
const SEED = 1;

export type Visitor = ReturnType<typeof visitor>;

export function visitor(page: Page) {
  /** A failure that the page shows. */
  const failure = (pattern: RegExp): Promise<string> => waitForText(page, '[role=alert]', pattern);
  const loaded = (pattern = /^\w+: \d+ layers/): Promise<string> => waitForText(page, '.status', pattern);
  const choose = (name: string, value: string): Promise<unknown> => page.select(`select[name=${name}]`, value);
  return {
    failure,
    loaded,
    choose,
    /** Picks files as a visitor does. */
    async pick(selector: string, ...paths: readonly string[]): Promise<void> {
      const input = await page.waitForSelector(selector);
      await (input as unknown as { uploadFile(...all: readonly string[]): Promise<void> }).uploadFile(...paths);
    },
    source: (kind: string): Promise<void> => press(page, `input[value=${kind}]`),
    async type(selector: string, value: string): Promise<void> {
      await page.focus(selector);
      await page.$eval(selector, (box) => (box as HTMLTextAreaElement).select());
      await page.keyboard.press('Backspace');
      await page.keyboard.sendCharacter(value);
    },
    /** Whether a pass-key is hidden in the text. */
    async hide(isHidden: boolean): Promise<void> {
      const was = await page.$eval('input[name=hide]', (box) => (box as unknown as { checked: boolean }).checked);
      if (was !== isHidden) await press(page, 'input[name=hide]');
    },
    figure: (lane: string, name: string): Promise<string> => text(page, `[data-lane=${lane}] [data-figure=${name}]`),
    async load(backend: string, tokens: string): Promise<string> {
      await choose('backend', backend);
      await choose('tokens', tokens);
      await press(page, 'button[name=load]');
      return loaded();
    },
    /** Has the text read in both ways, with the same pass-key each time. */
    async read(): Promise<void> {
      await reseed(page, SEED);
      await press(page, 'button[name=read]');
      await waitForText(page, '.status', /^HiP read [\d,]+ tokens/);
    },
  };
}
