// The site as it is published: every link leads somewhere, every page says what it is, nothing is wider than a phone.
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeBrowser } from '@hip/testing';
import { repository } from '../../scripts/lib/repository.mjs';
import { inlinePicture, outsideLink } from '../.vitepress/markdown.ts';
import { publicEntries } from '../typedoc-packages.mjs';
import { buildSite, deadLinks, deadMarkdownLinks, pagesOf, type Page } from './site.ts';

const DOCS = join(import.meta.dirname, '..');
const ROOT = join(DOCS, '..');
let site: string;
let pages: Page[];

beforeAll(async () => {
  site = mkdtempSync(join(DOCS, '.vitepress/.site-'));
  await buildSite(site);
  pages = pagesOf(site);
}, 900_000);
afterAll(() => rmSync(site, { recursive: true, force: true }));

/** Pages that a person wrote; the others come from sources and changelogs, or are the playground's, which has tests of its own. */
const written = ({ path }: Page): boolean => !/^(api\/|changelog|404|index|playground\/)/.test(path);

describe('links', () => {
  it('lead to pages and headings that are there', () => {
    expect(pages.flatMap(({ links }) => links).length).toBeGreaterThan(1000);
    expect(deadLinks(pages)).toEqual([]);
  });

  it('to sources name lines that are there', () => {
    const prefix = repository.blob('');
    const sources = new Set(pages.flatMap(({ links }) => links.filter((link) => link.startsWith(prefix))));
    expect(sources.size).toBeGreaterThan(500);
    const lines = new Map<string, number>();
    const missing = [...sources].filter((link) => {
      const [path = '', line] = link.slice(prefix.length).split('#L');
      if (!existsSync(join(ROOT, path))) return true;
      if (line === undefined) return false;
      if (!lines.has(path)) lines.set(path, readFileSync(join(ROOT, path), 'utf8').split('\n').length);
      return Number(line) > lines.get(path)!;
    });
    expect(missing).toEqual([]);
  });

  it('of the repository’s Markdown lead somewhere on GitHub, too', () => {
    const files = globSync(
      ['*.md', '{packages,apps}/*/*.md', 'packages/*/docs/*.md', 'docs/*.md', 'docs/{guide,specification}/*.md'],
      {
        cwd: ROOT,
      },
    ).filter((file) => file !== 'docs/changelog.md');
    expect(files.length).toBeGreaterThan(25);
    expect(files.flatMap((file) => deadMarkdownLinks(ROOT, file, (path) => existsSync(join(ROOT, path))))).toEqual([]);
  });

  it('out of docs/ become addresses of the repository', () => {
    expect(outsideLink('guide/a.md', '../../LICENSE')).toBe(repository.blob('LICENSE'));
    expect(outsideLink('architecture.md', '../packages/x/README.md#api')).toBe(
      `${repository.blob('packages/x/README.md')}#api`,
    );
    for (const inside of ['./b.md', '../index.md', '#here', '/guide/hip', 'https://example.com'])
      expect(outsideLink('guide/a.md', inside)).toBeUndefined();
  });
});

describe('pages', () => {
  it('are a page for each entry of a package, not for each symbol', () => {
    const api = pages.filter(({ path }) => path.startsWith('api/')).map(({ path }) => path);
    const wanted = publicEntries().map(({ page }: { page: string }) => `api/${page}.html`);
    expect(api).toEqual(expect.arrayContaining(wanted));
    expect(api).toHaveLength(wanted.length + 1);
    const files = globSync('**/*', { cwd: site }).filter((path) => !path.startsWith('playground'));
    const bytes = files.reduce((sum, file) => sum + statSync(join(site, file)).size, 0);
    expect(bytes).toBeLessThan(25e6);
  });

  it('say what they are in a line, which visitors and search engines see', () => {
    const silent = pages
      .filter(({ path }) => path !== '404.html')
      .filter(({ html, path }) => {
        const described = /<meta name="description" content="([^"]{20,})"/.test(html);
        return !described || (path !== 'index.html' && !html.includes('class="lead"'));
      });
    expect(silent.map(({ path }) => path)).toEqual([]);
  });

  it('can be edited where a person wrote them, and name licence, version and repository', () => {
    for (const page of pages.filter(written)) {
      expect(page.links, page.path).toContain(repository.edit(`docs/${page.path.replace('.html', '.md')}`));
      expect(page.links, page.path).toEqual(
        expect.arrayContaining([repository.url, repository.blob('LICENSE'), '/changelog.html']),
      );
      expect(page.html, page.path).toMatch(/v\d+\.\d+\.\d+/);
    }
  });

  it('show pictures in the colours of the page', () => {
    const html = pages.find(({ path }) => path === 'index.html')!.html;
    expect(html.match(/class="picture"/g)).toHaveLength(3);
    expect(inlinePicture('pictures', 'mask.svg', 'a "mask"')).toContain('aria-label="a &quot;mask&quot;"');
    expect(inlinePicture('pictures', 'mask.svg', 'x')).not.toContain('<style');
  });
});

describeBrowser('the site on a phone', (open) => {
  it('is no wider than 360 pixels, and logs no error', async () => {
    await using tab = await open({ root: site, isolated: false });
    await tab.page.setViewport({ width: 360, height: 740 });
    const wide: string[] = [];
    for (const { path } of pages.filter((page) => !page.path.startsWith('playground/'))) {
      await tab.page.goto(`${tab.url}/${path}`, { waitUntil: 'load' });
      const width = Number(await tab.page.evaluate('document.documentElement.scrollWidth'));
      if (width > 360) wide.push(`${path}: ${width}`);
    }
    expect(wide).toEqual([]);
    // What a page fetches ahead of its links ends with the page.
    expect(tab.errors.filter((error) => !/ERR_ABORTED/.test(error))).toEqual([]);
  });

  it('reads in the dark as in the light', async () => {
    await using tab = await open({ root: site, isolated: false });
    for (const scheme of ['light', 'dark'] as const) {
      await tab.page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
      for (const path of ['index.html', 'guide/hip.html', 'guide/benchmarks.html', 'api/hip-attention.html']) {
        await tab.page.goto(`${tab.url}/${path}`, { waitUntil: 'load' });
        const contrasts = (await tab.page.evaluate(CONTRASTS)) as Record<string, number>;
        expect(Object.keys(contrasts).length, path).toBeGreaterThan(1);
        for (const [what, contrast] of Object.entries(contrasts))
          expect(contrast, `${what} of ${path}, ${scheme}`).toBeGreaterThan(4.5);
      }
    }
  });
});

/** Contrast (WCAG 2.2, 1.4.3) of text, links and pictures' text against the page, where the page has them. */
const CONTRASTS = `(() => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map((x) => x / 255).map((x) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const page = light(getComputedStyle(document.body).backgroundColor);
  const of = (selector) => [...document.querySelectorAll(selector)].slice(0, 1).map((element) => {
    const own = light(getComputedStyle(element).color);
    return [selector, (Math.max(own, page) + 0.05) / (Math.min(own, page) + 0.05)];
  });
  return Object.fromEntries(['.vp-doc p', '.vp-doc a', '.vp-doc .picture svg', '.vp-doc .drawing svg', '.lead'].flatMap(of));
})()`;
