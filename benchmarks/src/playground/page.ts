// What a visitor does with a page, and what it shows.
import type { TestPage } from '@hip/testing/browser';

export type Page = TestPage['page'];

/** By an event, which circles of a plot take, too. */
export const press = async (page: Page, selector: string): Promise<void> => {
  await page.waitForSelector(selector);
  const event = `new MouseEvent('click', { bubbles: true, cancelable: true })`;
  await page.evaluate(`document.querySelector(${JSON.stringify(selector)}).dispatchEvent(${event})`);
};

export const fill = (page: Page, name: string, value: string | number): Promise<void> =>
  page.$eval(
    `input[name=${name}]`,
    (input, next) => void ((input as unknown as { value: string }).value = next),
    String(value),
  );

/** Chooses files as a visitor does. */
export async function pick(page: Page, selector: string, ...paths: readonly string[]): Promise<void> {
  const input = await page.waitForSelector(selector);
  await (input as unknown as { uploadFile(...all: readonly string[]): Promise<void> }).uploadFile(...paths);
}

/** Waits until the page says so. @throws with what it says, where it fails or the minutes are over */
export async function status(page: Page, pattern: RegExp, minutes = 10): Promise<void> {
  const look = `(() => {
    const texts = (where) => [...document.querySelectorAll(where)].map(({ textContent }) => textContent);
    return { said: texts('.status, .note, .bar'), failed: texts('.failure') };
  })()`;
  for (const end = Date.now() + 60_000 * minutes; ;) {
    const { said, failed } = (await page.evaluate(look)) as { said: string[]; failed: string[] };
    if (said.some((text) => pattern.test(text))) return;
    if (failed.length > 0 || Date.now() > end) {
      throw new Error(`the page never said ${pattern}: ${JSON.stringify({ said, failed })}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** What a reader's panel of the page Long document shows, by figure. */
export async function figuresOf(page: Page, lane: string): Promise<Readonly<Record<string, string>>> {
  const found = await page.$$eval(`[data-lane=${lane}] [data-figure]`, (all) =>
    all.map((element) => [element.getAttribute('data-figure'), element.textContent ?? '']),
  );
  return Object.fromEntries(found) as Record<string, string>;
}

/** Opens a page, and waits until its service worker has isolated it, which loads it a second time. */
export async function openIsolated(page: Page, url: string): Promise<void> {
  await page.goto(url, { waitUntil: 'load' });
  await page.waitForFunction('globalThis.crossOriginIsolated && document.readyState === "complete"', {
    timeout: 100_000,
  });
}
