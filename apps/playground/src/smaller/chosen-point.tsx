// The figures of a sub-network that was chosen, beside the whole network's.
import { Fragment } from 'preact';
import { count, milliseconds } from '../shell/format.ts';
import type { SubnetPoint, TrainOutput } from './protocol.ts';

/** What a sub-network consists of, in words. */
const NAMES: Readonly<Record<string, string>> = { layers: 'Layers', heads: 'Heads', ffn: 'FFN units of a layer' };

interface ChosenProps {
  readonly point: SubnetPoint;
  readonly full: SubnetPoint | undefined;
  readonly trained: TrainOutput | undefined;
}

export function ChosenPoint({ point, full, trained }: ChosenProps) {
  const { latency, loss, perplexity, macs, parameters, described } = point;
  const share = (value: number, of: number | undefined): string =>
    of === undefined ? '' : ` (${count((100 * value) / of)} % of the whole)`;
  return (
    <dl class="figures" data-chosen={point.number}>
      <dt>Latency</dt>
      <dd>{milliseconds(latency) + share(latency, full?.latency)}</dd>
      <dt>Loss, perplexity on text that it did not learn</dt>
      <dd>
        {loss.toFixed(3)}, {perplexity.toFixed(2)}
        {trained &&
          ` (the whole network: ${trained.lossAfter.toFixed(3)}, before it learnt ${trained.lossBefore.toFixed(3)})`}
      </dd>
      <dt>Multiply-accumulates</dt>
      <dd>{count(macs) + share(macs, full?.macs)}</dd>
      <dt>Parameters</dt>
      <dd>{count(parameters) + share(parameters, full?.parameters)}</dd>
      {Object.entries(described).map(([name, value]) => (
        <Fragment key={name}>
          <dt>{NAMES[name] ?? name}</dt>
          <dd>{value}</dd>
        </Fragment>
      ))}
    </dl>
  );
}
