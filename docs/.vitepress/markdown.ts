// What the site does with a page's Markdown that GitHub does not: links out of docs/, pictures in the page's colours, the lead.
import { readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { MarkdownOptions } from 'vitepress';
import { repository } from '../../scripts/lib/repository.mjs';

type MarkdownIt = Parameters<NonNullable<MarkdownOptions['config']>>[0];

interface PageEnvironment {
  /** The page's path inside docs/. */
  readonly relativePath?: string;
  readonly frontmatter?: { readonly description?: string; readonly layout?: string };
}

const PICTURE = /(?:^|\/)(pictures|drawings)\/([\w-]+\.svg)$/;

/** A link from `page` (inside docs/) that leaves docs/, as an address of the repository's site; undefined for any other. */
export function outsideLink(page: string, href: string): string | undefined {
  if (/^(?:[a-z]+:|\/|#)/i.test(href)) return undefined;
  const [path = '', anchor] = href.split('#');
  const target = posix.join('docs', posix.dirname(page), path);
  if (path === '' || target.startsWith('docs/')) return undefined;
  return `${repository.blob(target)}${anchor ? `#${anchor}` : ''}`;
}

/** A stored picture, or a drawing, as part of a page: the page's own style colours it. */
export function inlinePicture(kind: 'pictures' | 'drawings', file: string, alt: string): string {
  const folder = kind === 'pictures' ? '../pictures' : '../public/drawings';
  const svg = readFileSync(fileURLToPath(new URL(`${folder}/${file}`, import.meta.url)), 'utf8');
  const label = alt.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
  return `<span class="${kind.slice(0, -1)}" v-pre>${svg
    .trim()
    .replace(/<style>[\s\S]*?<\/style>/, '')
    .replace(/aria-label="[^"]*"/, `aria-label="${label}"`)}</span>`;
}

/** Adds the three to VitePress's Markdown. */
export function pageMarkdown(md: MarkdownIt): void {
  md.core.ruler.push('site', (state) => {
    const { relativePath, frontmatter } = state.env as PageEnvironment;
    for (const token of state.tokens) {
      for (const child of token.children ?? []) {
        if (child.type !== 'link_open' || relativePath === undefined) continue;
        const outside = outsideLink(relativePath, String(child.attrGet('href')));
        if (outside !== undefined) child.attrSet('href', outside);
      }
    }
    const heading = state.tokens.findIndex(({ type, tag }) => type === 'heading_close' && tag === 'h1');
    if (heading < 0 || !frontmatter?.description) return;
    const lead = new state.Token('html_block', '', 0);
    lead.content = `<p class="lead" v-pre>${md.utils.escapeHtml(frontmatter.description)}</p>\n`;
    state.tokens.splice(heading + 1, 0, lead);
  });
  const image = md.renderer.rules.image;
  md.renderer.rules.image = (tokens, index, options, environment, self) => {
    const token = tokens[index]!;
    const [, kind, file] = PICTURE.exec(String(token.attrGet('src'))) ?? [];
    if (kind && file) return inlinePicture(kind as 'pictures' | 'drawings', file, token.content);
    return image ? image(tokens, index, options, environment, self) : self.renderToken(tokens, index, options);
  };
}
