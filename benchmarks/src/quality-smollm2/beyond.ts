// Rows beyond the trained length: pass-keys in texts longer than the model ever saw, for each way of stretching its rotation.
import type { ContextExtension } from '@hip/checkpoints';
import { loadCheckpoint } from '@instatune/supernet';
import type { Named } from './configurations.ts';
import { taskRows, type Asked, type Keeping } from './task-rows.ts';

/** Positions that SmolLM2 was trained on. */
const TRAINED = 8192;

/** Ways to go on, for a text of so many times the trained length. */
function extensions(factor: number): Record<string, ContextExtension | undefined> {
  return {
    'as trained': undefined,
    'dynamic NTK': { type: 'dynamic', factor },
    YaRN: { type: 'yarn', factor },
    linear: { type: 'linear', factor },
  };
}

/** One row a length, way, task and configuration. Shorter texts are stretched twice, to have something to run. */
export async function beyondRows(
  folder: string,
  { beyond, questions }: { readonly beyond: readonly number[] } & Pick<Asked, 'questions'>,
  configurations: readonly Named[],
  keeping: Keeping,
): Promise<Record<string, unknown>[]> {
  const rows: Record<string, unknown>[] = [];
  for (const tokens of beyond) {
    for (const [way, context] of Object.entries(extensions(Math.max(2, tokens / TRAINED)))) {
      keeping.log(`${tokens} tokens, ${way}`);
      const { model, tokenizer } = await loadCheckpoint(folder, { context });
      try {
        const asked = { tokens, questions, tasks: ['pass-key, 1 fact', 'pass-key, 4 facts'] };
        const stepOf: Keeping['stepOf'] = (...parts) => keeping.stepOf('beyond', way, ...parts);
        const found = await taskRows(asked, configurations, model, tokenizer!, { ...keeping, stepOf });
        rows.push(...found.map((row) => ({ ...row, part: 'beyond', context: way })));
      } finally {
        model.dispose();
      }
    }
  }
  return rows;
}
