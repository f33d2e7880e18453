// The playground as the demo serves it, in a real browser: pages, their workers, and the model, below the token.
import { expect, it } from 'vitest';
import { describeBrowser } from '@hip/testing';
import { servePage } from '../../src/web/server.ts';

describeBrowser('the page', (open) => {
  it('is the playground: isolated, every page there, the bundled model loads', async () => {
    await using server = await servePage();
    await using tab = await open();
    const page = await tab.page.browser().newPage();
    page.setDefaultTimeout(500_000);
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(String(error)));
    await page.goto(server.url, { waitUntil: 'load' });
    expect(await page.evaluate('crossOriginIsolated')).toBe(true);
    const links = (await page.evaluate(
      '[...document.querySelectorAll("a[href]")].map(({ href }) => href)',
    )) as string[];
    expect(links.length).toBeGreaterThan(3);
    for (const link of links) expect([link, (await fetch(link)).status]).toEqual([link, 200]);
    await page.goto(`${server.url}/document/`, { waitUntil: 'load' });
    await page.select('select[name=backend]', 'wasm');
    await page.select('select[name=tokens]', '1024');
    await page.$eval('button[name=load]', (button) => (button as unknown as { click(): void }).click());
    const loaded =
      '[...document.querySelectorAll(".status")].some(({ textContent }) => /^llama: 6 layers/.test(textContent))';
    for (const end = Date.now() + 500_000; !(await page.evaluate(loaded)) && Date.now() < end;)
      await new Promise((resolve) => setTimeout(resolve, 100));
    expect(await page.evaluate(loaded)).toBe(true);
    expect(errors).toEqual([]);
    await page.close();
  });
});
