// WGSL that moves a tile of keys or values from the buffers into workgroup memory, 16 bytes a read, through registers or not.
import { unroll } from '../code/wgsl.ts';

export interface StagingOptions {
  readonly headDim: number;
  /** Keys of a tile. */
  readonly keys: number;
  readonly threads: number;
  readonly transposeValues: boolean;
  /** Tiles of means exist: their condition is `ofMeans`, or what {@link StagingCode.fetch} is given. */
  readonly remainder: boolean;
}

/** The statements; `name` is the buffer `k` or `v`, `parity` an expression: where the tile's entries begin. */
export interface StagingCode {
  /** Reads a tile into the registers `held…`. */
  readonly fetch: (name: string, parity: string, ofMeans: string) => string;
  /** Stores the registers. */
  readonly put: string;
  /** Reads and stores at once. */
  readonly stage: (name: string, parity: string, hideWhere?: string) => string;
  /** The same as fetch and put for values that are stored column by column. */
  readonly fetchPairs: string;
  readonly putPairs: string;
  /** Registers that hold values: what is not finite becomes 0, and `hidden` is set. Expects {@link FINITE_HALVES}. */
  readonly hide: string;
  /** Registers of 16 bytes a thread holds. */
  readonly heldVectors: number;
  /** Elements of `staged`. */
  readonly stagedVectors: number;
}

/** 16-byte elements of a staged row, one of them padding: rows of a matrix start in different banks. */
export function stagedStride(headDim: number): number {
  return headDim / 8 + 1;
}

/** The same for values stored column by column. */
export function transposedStride(keys: number): number {
  return keys / 8 + 1;
}

/**
 * `finite_halves(octet)`: eight f16 with 0 for those that are NaN or infinite, whose exponents are all ones: adding one to the
 * exponent carries into the sign. Sets `hidden` where there was one.
 */
export const FINITE_HALVES = `fn finite_halves(octet: vec4<u32>) -> vec4<u32> {
  let odd = ((octet & vec4<u32>(0x7c007c00u)) + vec4<u32>(0x04000400u)) & vec4<u32>(0x80008000u);
  if (all(odd == vec4<u32>(0u))) { return octet; }
  atomicStore(&hidden, 1u);
  return octet & ~((odd >> vec4<u32>(15u)) * vec4<u32>(0xffffu));
}`;

/** `mean_octet(row, side, c)`: octet `c` of a mean key (side 0) or value (1) as eight f16. Expects `means` in f16. */
export function meanOctets(headDim: number): string {
  const groups = headDim / 4;
  return `fn mean_octet(row: u32, side: u32, c: u32) -> vec4<u32> {
  let at = row * ${2 * groups}u + side * ${groups}u + 2u * c;
  return vec4<u32>(means[at], means[at + 1u]);
}`;
}

/** Expects `thread`, `entries`, `keyBase`, `params`, and the buffer `staged` of `vec4<u32>`. */
export function stagingCode({ headDim, keys, threads, transposeValues, remainder }: StagingOptions): StagingCode {
  const vectors = headDim / 8;
  const tileStride = stagedStride(headDim);
  const tileVectors = keys * vectors;
  const loads = Math.ceil(tileVectors / threads);
  const guard = (i: number, body: string): string =>
    tileVectors % threads === 0 ? body : `if (thread + ${i * threads}u < ${tileVectors}u) { ${body} }`;
  const source = (name: string, i: number, parity: string): string =>
    `${name}[(keyBase + ((entries[${parity} + (thread + ${i * threads}u) / ${vectors}u] & 0x3fffffffu) - params.keyFirst) * params.keyStride) / 2u + (thread + ${i * threads}u) % ${vectors}u]`;
  const place = (i: number): string =>
    `staged[(thread + ${i * threads}u) / ${vectors}u * ${tileStride}u + (thread + ${i * threads}u) % ${vectors}u]`;
  const meanSource = (name: string, i: number, parity: string): string =>
    `mean_octet(meanBase + entries[${parity} + (thread + ${i * threads}u) / ${vectors}u], ${name === 'v' ? 1 : 0}u, (thread + ${i * threads}u) % ${vectors}u)`;
  const either = (condition: string, means: string, keyed: string): string =>
    remainder ? `if (${condition}) {\n    ${means}\n    } else {\n    ${keyed}\n    }` : keyed;
  const fetch = (name: string, parity: string, ofMeans: string): string => {
    const from = (place: typeof source): string =>
      unroll(loads, (i) => guard(i, `held${i} = ${place(name, i, parity)};`), '\n    ');
    return either(ofMeans, from(meanSource), from(source));
  };
  const put = unroll(loads, (i) => guard(i, `${place(i)} = held${i};`), '\n    ');
  const stage = (name: string, parity: string, hideWhere?: string): string => {
    const from = (read: typeof source): string =>
      unroll(
        loads,
        (i) =>
          guard(
            i,
            hideWhere === undefined
              ? `${place(i)} = ${read(name, i, parity)};`
              : `{ var octet = ${read(name, i, parity)}; if (${hideWhere}) { octet = finite_halves(octet); } ${place(i)} = octet; }`,
          ),
        '\n    ',
      );
    return either('ofMeans', from(meanSource), from(source));
  };

  // Transposed, two keys of one dimension share a word; lanes stand along the keys, each in a bank of its own.
  const valueStride = transposedStride(keys);
  const pairVectors = (keys / 2) * vectors;
  const pairLoads = Math.ceil(pairVectors / threads);
  const pairGuard = (i: number, body: string): string =>
    pairVectors % threads === 0 ? body : `if (thread + ${i * threads}u < ${pairVectors}u) { ${body} }`;
  const pairSource = (i: number, key: number): string =>
    `v[(keyBase + ((entries[parity + (thread + ${i * threads}u) % ${keys / 2}u * 2u + ${key}u] & 0x3fffffffu) - params.keyFirst) * params.keyStride) / 2u + (thread + ${i * threads}u) / ${keys / 2}u]`;
  const meanPair = (i: number, key: number): string =>
    `mean_octet(meanBase + entries[parity + (thread + ${i * threads}u) % ${keys / 2}u * 2u + ${key}u], 1u, (thread + ${i * threads}u) / ${keys / 2}u)`;
  const pairs = (read: typeof pairSource): string =>
    unroll(pairLoads, (i) => pairGuard(i, `held${2 * i} = ${read(i, 0)}; held${2 * i + 1} = ${read(i, 1)};`), '\n    ');
  const fetchPairs = either('ofMeans', pairs(meanPair), pairs(pairSource));
  const putPairs = unroll(
    pairLoads,
    (i) =>
      pairGuard(
        i,
        `{ let pair = (thread + ${i * threads}u) % ${keys / 2}u; let row = (thread + ${i * threads}u) / ${keys / 2}u * ${8 * valueStride}u + pair / 4u;
      ${unroll(
        4,
        (
          w,
        ) => `staged[row + ${2 * w * valueStride}u][pair % 4u] = (held${2 * i}[${w}] & 0xffffu) | (held${2 * i + 1}[${w}] << 16u);
      staged[row + ${(2 * w + 1) * valueStride}u][pair % 4u] = (held${2 * i}[${w}] >> 16u) | (held${2 * i + 1}[${w}] & 0xffff0000u);`,
        '\n      ',
      )} }`,
      ),
    '\n    ',
  );
  const hide = unroll(transposeValues ? 2 * pairLoads : loads, (i) => `held${i} = finite_halves(held${i});`, ' ');
  const heldVectors = Math.max(loads, transposeValues ? 2 * pairLoads : 0);
  const stagedVectors = Math.max(keys * tileStride, transposeValues ? headDim * valueStride : 0);
  return { fetch, put, stage, fetchPairs, putPairs, hide, heldVectors, stagedVectors };
}
