// What the page shows, as plain data: messages in, view out. No browser needed.
import type { Chosen, CurvePoint, LongContextRow, Search } from '../pipeline/result.ts';
import { passKeyFinding, READER_NAMES } from '../report/findings.ts';
import type { FullCost } from '../pipeline/search.ts';
import type { RunMessage } from './messages.ts';

export interface View {
  readonly isRunning: boolean;
  readonly status: string;
  readonly isBad: boolean;
  /** 0 … 1 of the step that goes on; undefined where there is nothing to count. */
  readonly progress: number | undefined;
  readonly notes: readonly string[];
  readonly curve: readonly CurvePoint[];
  readonly lossBefore: number | undefined;
  /** Trials as they come in; replaced by the search's own list at its end. */
  readonly trials: readonly { readonly latencyMs?: number | undefined; readonly macs: number; readonly loss: number }[];
  readonly search: Search | undefined;
  readonly chosen: Chosen | undefined;
  /** The full model's cost, once the search has measured it. */
  readonly full: FullCost | undefined;
  readonly rows: readonly LongContextRow[];
  /** What the pass-keys came to, in a sentence. */
  readonly passKeys: string | undefined;
  readonly isDone: boolean;
}

export const EMPTY: View = {
  isRunning: false,
  status: '',
  isBad: false,
  progress: undefined,
  notes: [],
  curve: [],
  lossBefore: undefined,
  trials: [],
  search: undefined,
  chosen: undefined,
  full: undefined,
  rows: [],
  passKeys: undefined,
  isDone: false,
};

/** The view after one more message. */
export function advance(view: View, message: RunMessage): View {
  const note = (text: string): Pick<View, 'notes'> => ({ notes: [...view.notes, text] });
  switch (message.type) {
    case 'begin':
      return { ...EMPTY, isRunning: true, status: 'starting' };
    case 'backend':
      return { ...view, ...note(`backend: ${message.adapter ?? message.name}`) };
    case 'model':
      return { ...view, ...note(`model: ${message.folder}`) };
    case 'texts':
      return { ...view, ...note(`text: ${message.text}, ${message.tokens} tokens; document: ${message.document}`) };
    case 'note':
      return { ...view, ...note(message.text) };
    case 'fine-tuning': {
      const { step, steps, tokensPerSecond, eta } = message.progress;
      const status = `fine-tuning, step ${step} of ${steps}, ${tokensPerSecond.toFixed(0)} tokens/s, ${eta.toFixed(0)} s to go`;
      return { ...view, status, progress: step / steps, curve: [...view.curve, message.point] };
    }
    case 'fine-tuned': {
      const { history, lossBefore, lossAfter } = message.finetune;
      const text = `fine-tuned: validation loss ${lossBefore.toFixed(3)} → ${lossAfter.toFixed(3)}`;
      return { ...view, ...note(text), curve: history, lossBefore, progress: undefined, status: 'searching' };
    }
    case 'searching': {
      const { evaluations, budget, hypervolume, trial } = message.progress;
      const volume = hypervolume === undefined ? '' : `, hypervolume ${hypervolume.toPrecision(4)}`;
      const status = `searching, ${evaluations} of ${budget} sub-networks${volume}`;
      const values = trial?.values;
      const found = values ? [{ latencyMs: values['latency'], macs: values['macs']!, loss: values['loss']! }] : [];
      return {
        ...view,
        status,
        progress: evaluations / budget,
        trials: [...view.trials, ...found],
        full: message.full ?? view.full,
      };
    }
    case 'searched':
      return { ...view, search: message.search, trials: message.search.trials, progress: undefined };
    case 'chosen': {
      const { chosen } = message;
      const share = (chosen.latencyMs / chosen.baseline.latencyMs).toFixed(2);
      return {
        ...view,
        ...note(`chose ${chosen.rule}: ${share}× the latency, loss ${chosen.loss.toFixed(3)}`),
        chosen,
        full: chosen.baseline,
      };
    }
    case 'prefilling': {
      const { kind, tokens, length } = message;
      return {
        ...view,
        status: `${length} tokens with ${kind === 'hip' ? 'HiP' : 'dense'} attention`,
        progress: tokens / length,
      };
    }
    case 'row':
      return { ...view, rows: [...view.rows, message.row] };
    case 'generating':
      return { ...view, status: 'generating', progress: message.done / message.total };
    case 'asking': {
      const { reader, kind, tokens, length } = message;
      return {
        ...view,
        status: `${READER_NAMES[reader]} reads for the pass-keys with ${kind === 'hip' ? 'HiP' : 'dense'} attention`,
        progress: tokens / length,
      };
    }
    case 'asked': {
      const { passKeys } = message;
      const { value, sentence } = passKeyFinding(passKeys);
      return { ...view, passKeys: `${value} ${sentence}` };
    }
    case 'exported':
      return view;
    case 'written':
      return { ...view, isDone: true };
    case 'end':
      return { ...view, isRunning: false, progress: undefined, status: message.message, isBad: message.status !== 0 };
  }
}
