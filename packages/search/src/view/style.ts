// How the view looks: its own colours in light and dark, one column on a phone.

/** Every rule lies under `.instatune-study`: nothing else on the page is touched. */
export const STYLE = `
.instatune-study{--ink:#1f2933;--soft:#52606d;--line:#d9e2ec;--ground:#fff;--front:#1c6e8c;--other:#8793a0;--accent:#c81e3a;--chosen:#b45309;
 color:var(--ink);background:var(--ground);font:15px/1.5 system-ui,sans-serif;color-scheme:light dark;container-type:inline-size}
@media (prefers-color-scheme:dark){.instatune-study{--ink:#e4e7eb;--soft:#a8b3bf;--line:#3a4653;--ground:#14191f;--front:#5cb8d6;--other:#7b8794;--accent:#ff7a90;--chosen:#f0b429}}
.instatune-study *{box-sizing:border-box}
.instatune-study h2{font-size:1.4rem;margin:0 0 .25rem}.instatune-study h3{font-size:1.1rem;margin:0 0 .5rem}
.instatune-study p{margin:.25rem 0;color:var(--soft)}
.instatune-study .panels{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,30rem),1fr));gap:2rem;margin:1.5rem 0}
.instatune-study section{min-width:0}
.instatune-study .controls{display:flex;flex-wrap:wrap;gap:.5rem 1rem;align-items:center;margin-bottom:.5rem}
.instatune-study select,.instatune-study input,.instatune-study button{font:inherit;color:inherit;background:var(--ground);border:1px solid var(--other);border-radius:4px;padding:.2rem .45rem;max-width:100%}
.instatune-study button{cursor:pointer}.instatune-study :focus-visible{outline:2px solid var(--front);outline-offset:1px}
.instatune-study svg{max-width:100%;height:auto;display:block;overflow:visible;--plot-background:var(--ground)}
.instatune-study .scroll{overflow:auto;max-height:34rem;border:1px solid var(--line);content-visibility:auto;contain-intrinsic-size:auto 34rem}
.instatune-study table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.9rem;width:100%}
.instatune-study caption{text-align:left;color:var(--soft);padding:.3rem .5rem}
.instatune-study th,.instatune-study td{padding:.2rem .5rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
.instatune-study thead th{position:sticky;top:0;background:var(--ground)}
.instatune-study th button{border:0;padding:0;font-weight:600;background:none}
.instatune-study tr.front td:nth-child(2){color:var(--front);font-weight:700}
.instatune-study tr.differs td,.instatune-study tr.differs th{font-weight:700}
.instatune-study [role=status]{color:var(--soft);min-height:1.5em}
`;
