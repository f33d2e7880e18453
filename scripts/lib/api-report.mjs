// Names of the reports of the public surface, and what two of them differ in.

/** The root entry is called index, others by their path; /tfjs is tfjs. */
export function reportName(entry) {
  return `${entry === '.' ? 'index' : entry.slice(2).replaceAll('/', '-')}.api.md`;
}

/** Lines that only one of the two has, `-` for the old and `+` for the new. Order alone is no difference: reports are sorted. */
export function changedLines(old, now) {
  const count = (text) => {
    const lines = new Map();
    for (const line of text.split('\n').map((one) => one.trimEnd())) lines.set(line, (lines.get(line) ?? 0) + 1);
    return lines;
  };
  const [before, after] = [count(old), count(now)];
  const more = (a, b, sign) =>
    [...a].filter(([line, n]) => line && n > (b.get(line) ?? 0)).map(([line]) => `${sign} ${line}`);
  return [...more(before, after, '-'), ...more(after, before, '+')];
}
