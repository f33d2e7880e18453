// Latency by turns with the full network.
import { fullSubnet } from '../elastic/subnets.ts';
import type { SubnetConfig } from '../elastic/types.ts';
import { measureLatencies } from '../latency/measure.ts';
import type { ElasticModel } from '../model/types.ts';

/** Timed passes of each network. */
const REPEATS = 9;

/** A machine that slows down slows both: what is kept is the share of the full network, in the unit of its first time. */
export function relativeLatency(
  model: ElasticModel,
  sequence: number | undefined,
): (subnet: SubnetConfig, signal: AbortSignal) => Promise<number> {
  let unit: number | undefined;
  return async (subnet, signal) => {
    const [full, own] = await measureLatencies(model, [fullSubnet(model.space), subnet], {
      ...(sequence === undefined ? {} : { sequence }),
      repeats: REPEATS,
      signal,
    });
    unit ??= full!.medianMs;
    return (unit * own!.medianMs) / full!.medianMs;
  };
}
