// The page of a study: the view's data and script in one file, which loads nothing from anywhere.
import { createHash } from 'node:crypto';
import type { StudyView } from '@instatune/search/report';
import { script } from './script.generated.ts';

/** Text of an HTML element. */
const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');

/** JSON that may stand in a script element. */
const embedded = (value: unknown): string => JSON.stringify(value).replaceAll('<', String.raw`\u003c`);

export interface PageOptions {
  /** Where the page is told that the study has grown. @defaultValue nowhere: the page shows what it holds */
  readonly events?: string;
}

/** One self-contained page; its policy lets it run its own script and, with `events`, ask its own server, and nothing else. */
export function renderStudyPage(view: StudyView, { events }: PageOptions = {}): string {
  const hash = createHash('sha256').update(script).digest('base64');
  const policy = [
    "default-src 'none'",
    `script-src 'sha256-${hash}'`,
    "style-src 'unsafe-inline'",
    'img-src data:',
    ...(events === undefined ? [] : ["connect-src 'self'"]),
  ].join('; ');
  return `<!doctype html>
<html lang="en"${events === undefined ? '' : ` data-events="${escaped(events)}"`}><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark">
<title>${escaped(view.name)}: a study of instatune</title><link rel="icon" href="data:,">
<style>body{margin:0 auto;padding:1rem;max-width:80rem;background:#fff}@media (prefers-color-scheme:dark){body{background:#14191f}}</style>
</head><body><main></main>
<script type="application/json" id="study">${embedded(view)}</script>
<script type="module">${script}</script>
</body></html>
`;
}
