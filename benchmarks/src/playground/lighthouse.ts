// Lighthouse's scores of every page.
import { PAGES } from '@hip/playground/build';
import { serve, type OpenedBrowser } from '@hip/testing/browser';

const CATEGORIES = ['accessibility', 'best-practices'];

export async function lighthouseRows(
  browser: OpenedBrowser,
  root: string,
  log: (line: string) => void,
): Promise<Record<string, unknown>[]> {
  const { default: lighthouse } = await import('lighthouse');
  const port = Number(new URL(browser.browser.wsEndpoint()).port);
  // Isolated by headers: the service worker would load each page twice under the audit.
  await using server = await serve({ root });
  const rows: Record<string, unknown>[] = [];
  for (const { path } of PAGES) {
    log(`Lighthouse: /${path}`);
    const url = `${server.url}/${path === '' ? '' : `${path}/`}`;
    const result = await lighthouse(url, { port, onlyCategories: CATEGORIES, output: 'json', logLevel: 'error' });
    const { categories = {}, audits = {} } = result?.lhr ?? {};
    const missed = Object.values(audits).filter(({ score }) => score !== null && score < 1);
    rows.push({
      page: `/${path}`,
      ...Object.fromEntries(CATEGORIES.map((name) => [name, Math.round(100 * (categories[name]?.score ?? 0))])),
      missed: missed.map(({ id }) => id),
    });
  }
  return rows;
}
