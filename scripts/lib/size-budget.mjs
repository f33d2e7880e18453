// What a user may have to download for an entry, and what it is today.

/** Share that an entry may grow by before its budget has to be raised in a commit that says why. */
const ROOM = 1.05;

/** Budgets for what is measured now, whole hundreds of bytes. */
export function budgetsFor(rows) {
  return Object.fromEntries(rows.map(({ entry, gzipBytes }) => [entry, Math.ceil((gzipBytes * ROOM) / 100) * 100]));
}

/**
 * @param rows entry and gzipBytes of every entry's whole import
 * @param budgets gzip bytes by entry
 * @returns one sentence for each entry that is over its budget, has none, or is gone
 */
export function overBudget(rows, budgets) {
  const measured = new Map(rows.map(({ entry, gzipBytes }) => [entry, gzipBytes]));
  const over = [...measured].flatMap(([entry, bytes]) => {
    const budget = budgets[entry];
    if (budget === undefined) return [`${entry} has no budget (${bytes} bytes): npm run size -- --write`];
    if (bytes <= budget) return [];
    return [`${entry} is ${bytes} bytes gzip, budget ${budget}: make it smaller, or raise the budget and say why`];
  });
  const gone = Object.keys(budgets).filter((entry) => !measured.has(entry));
  return [...over, ...gone.map((entry) => `${entry} has a budget and is no entry any more: npm run size -- --write`)];
}
