// Round 0 of every tactic: the baseline, what the caller gave, the best of a warm start, then random candidates beside what is known already.
import type { Candidate } from '../study/trial.ts';
import { warmCandidates } from '../warm-start.ts';
import { randomCandidates, seenKeys } from './sampling.ts';
import type { Proposal, ProposeContext, Tactic } from './tactic.ts';

export function initialRound(context: ProposeContext, tactic: Tactic): Proposal {
  const { space, warm, given = [] } = context;
  const seen = seenKeys(context);
  const candidates: Candidate[] = [];
  if (space.baseline && !seen.has(space.key(space.baseline))) {
    seen.add(space.key(space.baseline));
    candidates.push({ genes: space.baseline, origin: 'baseline' });
  }
  for (const genes of given) {
    const key = space.key(genes);
    if (seen.has(key)) continue;
    seen.add(key);
    candidates.push({ genes, origin: 'given' });
  }
  // Measurements that are known teach as much as random ones.
  const limit = Math.max(candidates.length, context.limit - context.trials.length);
  if (warm)
    candidates.push(
      ...warmCandidates(context, warm, Math.min(limit - candidates.length, Math.round(warm.share * limit)), seen),
    );
  if (candidates.length < limit)
    candidates.push(...randomCandidates(context, limit - candidates.length, 'random', seen));
  const offered = candidates.filter(({ origin }) => origin === 'warm').length;
  const nothing =
    warm && warm.share > 0 && offered === 0
      ? {
          note: 'no candidate of the warm start is new here and inside the exact constraints: only its values are used',
        }
      : {};
  return { candidates, info: { tactic: tactic.name, warm: offered, ...nothing } };
}
