// What a run looks like in a terminal: a bar per step with the figures that matter, and a line when the step is done.
import { Presets, SingleBar } from 'cli-progress';
import type { DemoEvent } from '../pipeline/events.ts';
import { attentionSpeedup, bestReader, countFound, perplexityRatio } from '../pipeline/derived.ts';
import { READER_NAMES } from '../report/findings.ts';

/** 83 → "1m23s". */
export function duration(seconds: number | undefined): string {
  if (seconds === undefined || !Number.isFinite(seconds)) return '…';
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole}s`;
  return `${Math.floor(whole / 60)}m${String(whole % 60).padStart(2, '0')}s`;
}

type Payload = Readonly<Record<string, string | number>>;

/** Draws events on a stream. Without a terminal a bar becomes a line every few seconds. */
export class Console {
  readonly #stream: NodeJS.WriteStream;
  #bar: { readonly name: string; readonly bar: SingleBar } | undefined;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  show(event: DemoEvent): void {
    switch (event.type) {
      case 'backend':
        return this.#line('backend', event.adapter ? `${event.name} on ${event.adapter}` : event.name);
      case 'model':
        return this.#line(
          'model',
          `${event.folder}: ${event.difference === undefined ? 'no expected logits to check against' : `logits as expected (largest difference ${event.difference.toExponential(1)})`}`,
        );
      case 'texts':
        this.#line('text', `${event.text}: ${event.tokens} tokens`);
        return this.#line('document', `${event.document}: ${event.documentTokens} tokens`);
      case 'fine-tuning': {
        const { step, steps, tokensPerSecond, eta } = event.progress;
        const { loss, validation } = event.point;
        return this.#progress('fine-tune', step, steps, 'loss {loss}{validation} | {rate} tokens/s | ETA {left}', {
          loss: (loss ?? NaN).toFixed(3),
          ...(validation === undefined ? {} : { validation: ` (validation ${validation.toFixed(3)})` }),
          rate: tokensPerSecond.toFixed(0),
          left: duration(eta),
        });
      }
      case 'fine-tuned': {
        const { steps, seconds, lossBefore, lossAfter } = event.finetune;
        const before = event.isResumed ? ' (before this resume)' : '';
        return this.#line(
          'fine-tune',
          `${steps} steps in ${duration(seconds)}${before}: validation loss ${lossBefore.toFixed(3)} → ${lossAfter.toFixed(3)}`,
        );
      }
      case 'searching': {
        const { evaluations, budget, hypervolume, frontSize, phase, etaMs } = event.progress;
        return this.#progress(
          'search',
          evaluations,
          budget,
          '{phase} | hypervolume {volume} | front {front} | ETA {left}',
          {
            phase,
            volume: hypervolume === undefined ? '…' : hypervolume.toPrecision(4),
            front: frontSize,
            left: duration(etaMs === undefined ? undefined : etaMs / 1000),
          },
        );
      }
      case 'searched': {
        const { evaluations, seconds, hypervolume, front } = event.search;
        return this.#line(
          'search',
          `${evaluations} sub-networks in ${duration(seconds)}: hypervolume ${hypervolume.toPrecision(4)}, ${front.length} on the front`,
        );
      }
      case 'chosen': {
        const { layers, heads, ffn, latencyMs, loss, baseline, rule } = event.chosen;
        return this.#line(
          'chosen',
          `${rule}: ${layers} layers, heads ${heads.join(' ')}, FFN ${ffn.join(' ')}: ${(latencyMs / baseline.latencyMs).toFixed(2)}x latency, loss ${loss.toFixed(3)}`,
        );
      }
      case 'prefilling':
        return this.#progress(
          `${event.kind === 'hip' ? 'HiP' : 'dense'} ${event.length}`,
          event.tokens,
          event.length,
          'tokens',
          {},
        );
      case 'row': {
        const { tokens, denseMs, hipMs, massRecall } = event.row;
        return this.#line(
          `${tokens} tokens`,
          `dense ${(denseMs / 1000).toFixed(2)} s, HiP ${(hipMs / 1000).toFixed(2)} s (attention ${attentionSpeedup(event.row).toFixed(1)}× faster); perplexity ${perplexityRatio(event.row)}× dense’s; recall ${massRecall.toFixed(3)}`,
        );
      }
      case 'generating':
        return this.#progress('generate', event.done, event.total, 'tokens', {});
      case 'asking': {
        const { reader, kind, tokens, length } = event;
        return this.#progress(
          `ask ${kind === 'hip' ? 'HiP' : 'dense'}`,
          tokens,
          length,
          `tokens read by ${READER_NAMES[reader]}`,
          {},
        );
      }
      case 'asked': {
        const { keys } = event.passKeys;
        const { model, dense, hip } = bestReader(event.passKeys);
        return this.#line(
          'pass-keys',
          `${READER_NAMES[model]} finds ${countFound(keys, dense)} of ${keys.length} with dense attention, ${countFound(keys, hip)} with HiP`,
        );
      }
      case 'exported': {
        const { folder, bytes, tokens, difference } = event.exported;
        return this.#line(
          'ONNX',
          `${folder}: ${(bytes / 1e6).toFixed(1)} MB; onnxruntime with HiP agrees over ${tokens} tokens (logits within ${difference.toExponential(1)})`,
        );
      }
      case 'written':
        this.#line('report', event.report);
        return this.#line('result', event.result);
      case 'note':
        return this.note(event.text);
    }
  }

  note(text: string): void {
    this.#line('note', text);
  }

  /** Ends the bar that is being drawn. */
  stop(): void {
    this.#bar?.bar.stop();
    this.#bar = undefined;
  }

  #line(name: string, text: string): void {
    this.stop();
    this.#stream.write(`${name.padEnd(12)} ${text}\n`);
  }

  #progress(name: string, value: number, total: number, format: string, payload: Payload): void {
    if (this.#bar?.name !== name) {
      this.stop();
      const bar = new SingleBar(
        {
          format: `${name.padEnd(12)} {bar} {value}/{total} ${format}`,
          barsize: 24,
          stream: this.#stream,
          noTTYOutput: true,
          notTTYSchedule: 5000,
          hideCursor: true,
        },
        Presets.shades_classic,
      );
      bar.start(total, 0, { validation: '', ...payload });
      this.#bar = { name, bar };
    }
    this.#bar.bar.update(value, payload);
  }
}
