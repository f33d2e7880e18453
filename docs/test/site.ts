// Builds the site for the tests, and reads what its pages hold.
import { execFile } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const DOCS = join(import.meta.dirname, '..');
const run = promisify(execFile);

/** The script behind a package's command. */
function commandOf(name: string, bin: string): string {
  const entry = createRequire(import.meta.url).resolve(name);
  const folder = entry.slice(0, entry.lastIndexOf(join('node_modules', name)) + join('node_modules', name).length);
  return join(folder, bin);
}

/**
 * What `npm run docs` does, into a folder of its own.
 *
 * @throws where a page links to one that is not there
 */
export async function buildSite(out: string): Promise<void> {
  const node = async (...args: string[]) => run(process.execPath, ['--no-warnings', ...args], { cwd: DOCS });
  await node('drawings/main.ts');
  await node('changelog.mjs');
  await node(commandOf('typedoc', 'bin/typedoc'), '--options', 'typedoc.config.mjs', '--logLevel', 'Error');
  await node(commandOf('vitepress', 'bin/vitepress.js'), 'build', '.', '--outDir', out);
  await node('../apps/playground/build/main.ts', join(out, 'playground'));
}

export interface Page {
  /** Path from the site's root, `guide/hip.html`. */
  readonly path: string;
  readonly html: string;
  /** Targets of links within a page. */
  readonly anchors: ReadonlySet<string>;
  readonly links: readonly string[];
}

const decode = (text: string): string => text.replaceAll('&amp;', '&').replaceAll('&#39;', "'");

/** Every page that was written. */
export function pagesOf(site: string): Page[] {
  return globSync('**/*.html', { cwd: site })
    .sort()
    .map((path) => {
      const html = readFileSync(join(site, path), 'utf8');
      const all = (pattern: RegExp) => [...html.matchAll(pattern)].map(([, value]) => decode(value!));
      return {
        path: path.replaceAll('\\', '/'),
        html,
        anchors: new Set(all(/ id="([^"]+)"/g)),
        links: [...new Set(all(/<a [^>]*?href="([^"]+)"/g))],
      };
    });
}

/** Internal links of pages that lead nowhere, `page → link`. */
export function deadLinks(pages: readonly Page[]): string[] {
  const byPath = new Map(pages.map((page) => [page.path, page]));
  return pages.flatMap((page) =>
    page.links
      .filter((link) => !/^(?:[a-z]+:|\/\/)/i.test(link))
      .filter((link) => {
        const url = new URL(link, `http://site/${page.path}`);
        const path = decodeURIComponent(url.pathname).slice(1) || 'index.html';
        const target = byPath.get(path.endsWith('/') ? `${path}index.html` : path);
        return !target || (url.hash !== '' && !target.anchors.has(decodeURIComponent(url.hash.slice(1))));
      })
      .map((link) => `${page.path} → ${link}`),
  );
}

/** Slug that GitHub gives a heading. */
function slug(heading: string): string {
  return heading
    .replaceAll(/\[([^\]]*)\]\([^)]*\)|[`*]|<[^>]*>/g, '$1')
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(' ', '-');
}

/** Relative links of a Markdown file of the repository that lead nowhere on GitHub. */
export function deadMarkdownLinks(root: string, file: string, exists: (path: string) => boolean): string[] {
  const text = readFileSync(join(root, file), 'utf8').replaceAll(/```[\s\S]*?```/g, '');
  const links = [...text.matchAll(/\]\(([^)\s]+)\)|(?:src|href)="([^"]+)"/g)].map(([, a, b]) => (a ?? b)!);
  return links
    .filter((link) => !/^(?:[a-z]+:|\/)/i.test(link))
    .filter((link) => {
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? file : join(dirname(file), path).replaceAll('\\', '/');
      if (!exists(target)) return true;
      // VitePress and GitHub differ in the slugs of headings that begin with a digit.
      if (anchor === undefined || !target.endsWith('.md') || anchor.startsWith('_')) return false;
      const headings = readFileSync(join(root, target), 'utf8').matchAll(/^#{1,6} (.*)$/gm);
      return ![...headings].some(([, heading]) => slug(heading!) === anchor);
    })
    .map((link) => `${file} → ${link}`);
}
