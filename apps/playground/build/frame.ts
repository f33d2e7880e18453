// What every page has around its own part: head, skip link, navigation, footer. Static HTML: it is there before any script.
import { PAGES } from './pages.ts';

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');

/**
 * @param html - a page's source with `<!--head-->`, `<!--top-->` and `<!--bottom-->` where the frame goes
 * @param path - `/document/index.html`
 * @param docs - the documentation, from the playground's root
 */
export function frame(html: string, path: string, docs: string | undefined): string {
  const folder = path.replace(/^\//, '').replace(/\/?index\.html$/, '');
  const page = PAGES.find((one) => one.path === folder);
  if (!page) throw new Error(`${path} is not among the pages of build/pages.ts`);
  const root = folder === '' ? './' : '../';
  const head = `<meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>${escape(page.title)} · HiP & InstaTune</title>
    <meta name="description" content="${escape(page.lead)}" />
    <meta name="color-scheme" content="light dark" />
    <meta name="theme-color" content="#0b6bcb" />
    <link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M1 1h4v4H1zM6 6h4v4H6zM11 11h4v4h-4zM1 11h4v4H1z' fill='%230b6bcb'/%3E%3C/svg%3E" />
    <link rel="stylesheet" href="${root}src/shell/style.css" />`;
  const links = PAGES.map(({ path: to, name }) => {
    const current = to === folder ? ' aria-current="page"' : '';
    return `<li><a href="${root}${to === '' ? '' : `${to}/`}"${current}>${escape(name)}</a></li>`;
  }).join('');
  const top = `<a class="skip" href="#main">Skip to content</a>
    <header>
      <nav aria-label="Playground"><ul>${links}</ul></nav>
      ${docs === undefined ? '' : `<a class="docs" href="${root}${docs}">Documentation</a>`}
    </header>`;
  const intro = `<h1>${escape(page.title)}</h1>
      <p class="lead">${escape(page.lead)}</p>
      <noscript><p role="alert" class="failure">These pages compute in your browser, which needs JavaScript: allow it for this site.</p></noscript>`;
  const bottom = `<footer><p>Nothing you open here is uploaded. What is downloaded is kept by this browser alone.</p></footer>`;
  return html
    .replace('<!--head-->', () => head)
    .replace('<!--top-->', () => top)
    .replace('<!--intro-->', () => intro)
    .replace('<!--bottom-->', () => bottom);
}
