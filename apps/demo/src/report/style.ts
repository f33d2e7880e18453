// The look of the report: one column on a phone, a grid on a wide page, light and dark, and on paper.

/** Colours, by the reader's system. The figures use them by name; the page takes the same. */
export const COLOURS = `
:root{color-scheme:light dark;--ink:#1f2933;--muted:#52606d;--paper:#fff;--panel:#f5f7fa;--rule:#d9e2ec;
--grey:#9aa5b1;--dense:#b0573c;--hip:#1c6e8c;--accent:#d7263d;--mark:#fff3bf}
@media (prefers-color-scheme:dark){:root{--ink:#e4e7eb;--muted:#a3b0bd;--paper:#14191f;--panel:#1e262e;--rule:#37424d;
--grey:#7b8794;--dense:#e58a6c;--hip:#5cb8d6;--accent:#ff6b7d;--mark:#5c4a00}}
@media print{:root{color-scheme:light;--ink:#000;--muted:#333;--paper:#fff;--panel:#fff;--rule:#999;
--grey:#888;--dense:#b0573c;--hip:#1c6e8c;--accent:#d7263d;--mark:#fff3bf}}`;

/** The report's own rules. Rows of a table become cards where there is no room for columns: nothing scrolls sideways. */
export const STYLE = `${COLOURS}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1320px;margin:0 auto;padding:1.5rem 1rem}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 1rem}h2{font-size:1.2rem;margin:2.5rem 0 .75rem}h3{font-size:1rem;margin:0 0 .25rem}
p{max-width:70ch;overflow-wrap:anywhere}code{overflow-wrap:anywhere}.note{color:var(--muted);font-size:.9rem}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,300px),1fr));gap:1rem}
.card{background:var(--panel);border:1px solid var(--rule);border-radius:8px;padding:1rem}
.card strong{display:block;font-size:2.2rem;line-height:1.2;color:var(--hip)}.card p{margin:.25rem 0 0}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:1.5rem;margin-top:1.5rem}
figure{margin:0;min-width:0;border:1px solid var(--rule);border-radius:8px;padding:.75rem}
figure>svg{display:block;width:100%;height:auto}figure#mask>svg{max-width:420px;max-height:420px;margin:auto}
figure#mask rect[fill="#f5f7fa"]{fill:var(--panel)}figure#mask g{fill:var(--hip)}
figcaption{font-size:.9rem;color:var(--muted)}
.legend{display:flex;flex-wrap:wrap;gap:.1rem 1rem;list-style:none;margin:.25rem 0 .5rem;padding:0;font-size:.9rem}
.legend i{display:inline-block;width:1.1em;height:.7em;margin-right:.4em;border:0 solid;border-radius:2px}
.legend i.ring{width:.8em;height:.8em;border-width:2px;border-radius:50%;background:none!important}
.legend i.dash{height:0;border-top:2px dashed;background:none!important;vertical-align:middle}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.92rem}
th,td{padding:.35rem .5rem;border-bottom:1px solid var(--rule);text-align:right;vertical-align:top;overflow-wrap:anywhere}
th{color:var(--muted);font-weight:600}th:first-child,td:first-child{text-align:left}
table.text :is(td,th){text-align:left;white-space:pre-wrap}table.text :is(td,th):first-child{width:24em}
pre{background:var(--panel);border:1px solid var(--rule);border-radius:8px;padding:1rem;margin:.5rem 0;font-size:.9rem;white-space:pre-wrap;overflow-wrap:anywhere}
blockquote{margin:.5rem 0;padding:.75rem 1rem;background:var(--panel);border-left:4px solid var(--hip);white-space:pre-wrap;overflow-wrap:anywhere}
mark{background:var(--mark);color:inherit}.gap{display:block;color:var(--muted);margin:.5rem 0}
@media screen and (max-width:700px){table,tbody,tr,td{display:block}thead{display:none}
tr{border:1px solid var(--rule);border-radius:8px;margin:0 0 .75rem;padding:.4rem .75rem}
td{display:flex;justify-content:space-between;gap:1rem;border:0;padding:.15rem 0}td::before{content:attr(data-label);color:var(--muted);flex:none;max-width:45%}
td:first-child{font-weight:600}td:empty{display:none}
table.text td{display:block}table.text td::before{content:none}table.text td:first-child{width:auto}}
@media print{body{max-width:none;padding:0;font-size:11pt}figure,.card,tr,blockquote{break-inside:avoid}h2,h3{break-after:avoid}
.figures{grid-template-columns:1fr 1fr}}`;
