// Measured latencies as a JSON table that later studies of the same model shape on the same device reuse.
import * as tf from '@tensorflow/tfjs';
import * as v from 'valibot';
import type { SubnetConfig } from '../elastic/types.ts';
import { subnetKey } from '../elastic/subnets.ts';
import { SupernetError } from '../errors.ts';
import type { ElasticModel } from '../model/types.ts';
import { nodeModule } from '../node-modules.ts';
import { latencyShape, measureLatencies } from './measure.ts';
import type { Latency, LatencyOptions } from './measure.ts';

/** What a table's figures hold for: a different value anywhere means another table. */
export interface LatencyConditions {
  /** Machine and processor (or graphics card). */
  readonly device: string;
  /** tfjs backend. */
  readonly backend: string;
  /** Shape of the full model, weights aside. */
  readonly model: string;
  readonly batch: number;
  readonly sequence: number;
  readonly mode: 'extracted' | 'sliced';
  readonly logits: 'all' | 'last' | 'none';
  /** Name of the attention function: give one for anything but dense. */
  readonly attention: string;
}

/** Options of {@link LatencyTable.open} beside those of the measurement. */
export interface LatencyTableOptions extends LatencyOptions {
  /** @defaultValue host name and processor in Node, else the browser's user agent */
  readonly device?: string | undefined;
  /** @defaultValue 'dense' */
  readonly attentionName?: string | undefined;
}

const positive = v.pipe(v.number(), v.finite(), v.gtValue(0));
// A browser's coarse clock reads 0 for a pass that is shorter than its tick.
const time = v.pipe(v.number(), v.finite(), v.minValue(0));
const latencySchema = v.object({
  medianMs: time,
  lowerMs: time,
  upperMs: time,
  minMs: time,
  repeats: positive,
});
const schema = v.object({
  version: v.literal(1),
  tables: v.array(
    v.object({
      conditions: v.object({
        device: v.string(),
        backend: v.string(),
        model: v.string(),
        batch: positive,
        sequence: positive,
        mode: v.picklist(['extracted', 'sliced']),
        logits: v.picklist(['all', 'last', 'none']),
        attention: v.string(),
      }),
      entries: v.record(v.string(), latencySchema),
    }),
  ),
});

/** JSON form of a {@link LatencyTable}: every set of conditions ever measured. */
export type LatencyTableJson = v.InferOutput<typeof schema>;

/**
 * Latencies by sub-network for one set of conditions; figures of other devices and shapes are carried along untouched.
 *
 * @example
 * ```ts
 * import { writeFile } from 'node:fs/promises';
 *
 * const table = await LatencyTable.open(model, { sequence: 256 }, previousJson);
 * const [full, small] = await table.latencies([fullSubnet(model.space), candidate]); // measures only what is not there
 * await writeFile('latency.json', JSON.stringify(table));
 * ```
 */
export class LatencyTable {
  readonly conditions: LatencyConditions;
  readonly #model: ElasticModel;
  readonly #options: LatencyOptions;
  readonly #entries: Map<string, Latency>;
  readonly #others: LatencyTableJson['tables'];

  private constructor(
    model: ElasticModel,
    options: LatencyOptions,
    conditions: LatencyConditions,
    tables: LatencyTableJson['tables'],
  ) {
    const same = (other: LatencyConditions) => canonical(other) === canonical(conditions);
    this.conditions = conditions;
    this.#model = model;
    this.#options = options;
    this.#entries = new Map(tables.filter((t) => same(t.conditions)).flatMap((t) => Object.entries(t.entries)));
    this.#others = tables.filter((table) => !same(table.conditions));
  }

  /** A table for this model, device and shape; `stored` is what an earlier one's JSON held. @throws SupernetError `invalid-data`, `invalid-option` */
  static async open(model: ElasticModel, options: LatencyTableOptions = {}, stored?: unknown): Promise<LatencyTable> {
    const conditions: LatencyConditions = {
      device: options.device ?? deviceName(),
      backend: tf.getBackend(),
      model: modelShape(model),
      ...latencyShape(model, options),
      mode: options.mode ?? 'extracted',
      logits: options.logits ?? 'last',
      attention: options.attentionName ?? (options.attention ? 'custom' : 'dense'),
    };
    if (stored === undefined) return new LatencyTable(model, options, conditions, []);
    const parsed = v.safeParse(schema, stored);
    if (!parsed.success) {
      const issue = parsed.issues[0];
      throw new SupernetError(
        'invalid-data',
        `the latency table is damaged at ${v.getDotPath(issue) ?? 'its root'}: ${issue.message}`,
      );
    }
    return new LatencyTable(model, options, conditions, parsed.output.tables);
  }

  /** Sub-networks known under these conditions. */
  get size(): number {
    return this.#entries.size;
  }

  /** A known latency, without measuring. */
  get(subnet: SubnetConfig): Latency | undefined {
    return this.#entries.get(subnetKey(subnet));
  }

  /** Latency of a sub-network, measured unless known. @throws SupernetError as {@link measureLatencies} does */
  async latency(subnet: SubnetConfig, signal?: AbortSignal): Promise<Latency> {
    const [latency] = await this.latencies([subnet], signal);
    return latency as Latency;
  }

  /** Latencies of sub-networks; the unknown ones are measured interleaved. @throws SupernetError as {@link measureLatencies} does */
  async latencies(subnets: readonly SubnetConfig[], signal?: AbortSignal): Promise<Latency[]> {
    const missing = new Map<string, SubnetConfig>();
    for (const subnet of subnets) if (!this.get(subnet)) missing.set(subnetKey(subnet), subnet);
    if (missing.size > 0) {
      const measured = await measureLatencies(this.#model, [...missing.values()], {
        ...this.#options,
        ...(signal && { signal }),
      });
      for (const [index, key] of [...missing.keys()].entries()) this.#entries.set(key, measured[index] as Latency);
    }
    return subnets.map((subnet) => this.get(subnet) as Latency);
  }

  toJSON(): LatencyTableJson {
    const own = { conditions: { ...this.conditions }, entries: Object.fromEntries(this.#entries) };
    return { version: 1, tables: [...this.#others, ...(this.#entries.size > 0 ? [own] : [])] };
  }
}

function canonical(conditions: LatencyConditions): string {
  return JSON.stringify(Object.entries(conditions).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function modelShape({ config }: ElasticModel): string {
  const { family, head, hiddenSize, layers, heads, kvHeads, headSize, ffn, vocabSize, labels } = config;
  const widths = config.layerHeads || config.layerFfn ? ` ${config.layerHeads?.join()}/${config.layerFfn?.join()}` : '';
  return `${family} ${head} ${layers}L·${hiddenSize}·${heads}/${kvHeads}×${headSize}·${ffn} V${vocabSize} C${labels}${widths}`;
}

function deviceName(): string {
  const os = nodeModule('node:os');
  if (!os) return globalThis.navigator.userAgent;
  const processors = os.cpus();
  return `${os.hostname()} ${processors[0]?.model.trim() ?? 'unknown'} ×${processors.length}`;
}
