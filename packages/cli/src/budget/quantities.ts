// What a budget may name: in which unit it is kept, which way is better, and the units people write.

/** One name of a budget. */
export interface Quantity {
  /** Which bound makes sense: costs and losses are bounded from above. */
  readonly better: 'less' | 'more';
  /** A cost of a network, or its quality. */
  readonly kind: 'cost' | 'quality';
  /** Unit that values are kept in; '' for none. */
  readonly unit: string;
  /** Factor to the kept unit, by what may stand behind a number. */
  readonly units: Readonly<Record<string, number>>;
  /** For messages and `--help`. */
  readonly what: string;
}

const COUNTS = { '': 1, k: 1e3, K: 1e3, M: 1e6, G: 1e9, B: 1e9, T: 1e12 } as const;
const BYTES = {
  '': 1,
  B: 1,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
} as const;

export const QUANTITIES = {
  latency: {
    better: 'less',
    kind: 'cost',
    unit: 'ms',
    units: { '': 1, us: 1e-3, µs: 1e-3, ms: 1, s: 1e3 },
    what: 'median milliseconds of one forward pass on this machine, on --runtime',
  },
  macs: { better: 'less', kind: 'cost', unit: '', units: COUNTS, what: 'multiply-accumulates of one forward pass' },
  parameters: { better: 'less', kind: 'cost', unit: '', units: COUNTS, what: 'weights' },
  bytes: { better: 'less', kind: 'cost', unit: 'B', units: BYTES, what: 'size of the ONNX file' },
  memory: {
    better: 'less',
    kind: 'cost',
    unit: 'B',
    units: BYTES,
    what: 'weights and activations at their peak, in one forward pass',
  },
  loss: { better: 'less', kind: 'quality', unit: '', units: { '': 1 }, what: 'mean cross-entropy, nats' },
  accuracy: {
    better: 'more',
    kind: 'quality',
    unit: '',
    units: { '': 1, '%': 0.01 },
    what: 'share of right answers, 0…1 or %',
  },
  f1: {
    better: 'more',
    kind: 'quality',
    unit: '',
    units: { '': 1, '%': 0.01 },
    what: 'of whole spans (entities) of tagged words, 0…1 or %',
  },
  r2: {
    better: 'more',
    kind: 'quality',
    unit: '',
    units: { '': 1 },
    what: 'share of the variance that is explained, of values',
  },
  perplexity: {
    better: 'less',
    kind: 'quality',
    unit: '',
    units: { '': 1 },
    what: 'exponential of the loss, of language models',
  },
} as const satisfies Readonly<Record<string, Quantity>>;

/** A name that budgets and objectives know. */
export type QuantityName = keyof typeof QUANTITIES;

export const QUANTITY_NAMES = Object.keys(QUANTITIES) as readonly QuantityName[];

export function isQuantityName(name: string): name is QuantityName {
  return Object.hasOwn(QUANTITIES, name);
}

/** The entry of a name, as the general type. */
export const quantity = (name: QuantityName): Quantity => QUANTITIES[name];
