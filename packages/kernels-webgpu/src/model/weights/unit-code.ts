// WGSL that reads a stored row in units: the values of one 16-byte word, loaded first and made numbers later, so that loads overlap.
import type { RowLayout } from './layout.ts';
import type { WeightType } from './types.ts';

/** How a type's rows are cut into units. */
export interface UnitForm {
  /** Octets of a unit. */
  readonly octets: number;
  /** `struct Unit`: what is loaded. */
  readonly struct: string;
  /** Body of `fn NAME(row: u32, unit: u32) -> Unit`, given how a row's words are read. */
  readonly load: (read: Rows) => string;
  /** Expression: octet i (known when code is made) of `u: Unit`, as `mat2x4<f32>`. */
  readonly octet: (i: number) => string;
  /** Statements `let unit = …; let part = …;`: where octet `octet` of a row stands; in the order of octets where there are none. */
  readonly place?: string | undefined;
}

/** Expressions of a row's contents: 16-byte words and words of field f, and its halves as f32. */
interface Rows {
  readonly vector: (field: number, index: string) => string;
  readonly word: (field: number, index: string) => string;
  readonly half: (field: number, index: string) => string;
}

/** Nibbles of octet i of a unit of 32 values: low halves of the bytes are the first sixteen, high ones the others. */
const nibbles = (i: number): readonly [string, string] => [
  `bytes_of((u.q[${(i & 1) * 2}] >> ${(i >> 1) * 4}u) & 0x0f0f0f0fu)`,
  `bytes_of((u.q[${(i & 1) * 2 + 1}] >> ${(i >> 1) * 4}u) & 0x0f0f0f0fu)`,
];
const fifthBits = (i: number, first: number): string =>
  `(((vec4<u32>(u.h) >> vec4<u32>(${[0, 1, 2, 3].map((b) => `${i * 8 + first + b}u`).join(', ')})) & vec4<u32>(1u)) << vec4<u32>(4u))`;

function blockOf32(five: boolean, minimum: boolean): UnitForm {
  const centre = five ? 16 : 8;
  const scale = five ? 2 : 1;
  return {
    octets: 4,
    struct: `struct Unit { q: vec4<u32>, ${five ? 'h: u32, ' : ''}s: vec2<f32> }`,
    load: ({ vector, word, half }) =>
      `return Unit(${vector(0, 'unit')}, ${five ? `${word(1, 'unit')}, ` : ''}${minimum ? `unpack2x16float(${word(scale, 'unit')})` : `vec2<f32>(${half(scale, 'unit')}, 0.0)`});`,
    octet: (i) => {
      const values = nibbles(i).map((q, side) => (five ? `(${q} | ${fifthBits(i, side * 4)})` : q));
      return `mat2x4<f32>(${values.map((q) => (minimum ? `u.s.x * vec4<f32>(${q}) + vec4<f32>(u.s.y)` : `u.s.x * (vec4<f32>(${q}) - vec4<f32>(${centre}.0))`)).join(', ')})`;
    },
  };
}

/** A word's low nibbles belong to one sub-block of 32, its high ones to the next; units are halves of them. */
function blockOfK(five: boolean): UnitForm {
  const scales = five ? 2 : 1;
  return {
    octets: 4,
    struct: `struct Unit { q: vec4<u32>, ${five ? 'h: vec4<u32>, ' : ''}low: vec2<f32>, high: vec2<f32> }`,
    load: ({ vector, word }) => `let block = unit >> 3u;
  let sub = (unit & 6u);
  let d = unpack2x16float(${word(scales + 1, 'block')});
  let word0 = ${word(scales, 'block * 3u')};
  let word1 = ${word(scales, 'block * 3u + 1u')};
  let word2 = ${word(scales, 'block * 3u + 2u')};
  return Unit(${vector(0, 'unit')}, ${five ? `${vector(1, 'block * 2u + (unit & 1u)')} >> vec4<u32>(sub), ` : ''}sub_scales(word0, word1, word2, sub, d), sub_scales(word0, word1, word2, sub + 1u, d));`,
    octet: (i) => {
      const side = i < 2 ? 'u.low' : 'u.high';
      const values = nibbles(i).map((q, half) =>
        five ? `(${q} | (bytes_of((u.h[${(i & 1) * 2 + half}] >> ${i >> 1}u) & 0x01010101u) << vec4<u32>(4u)))` : q,
      );
      return `mat2x4<f32>(${values.map((q) => `${side}.x * vec4<f32>(${q}) - vec4<f32>(${side}.y)`).join(', ')})`;
    },
    place: `let unit = (octet >> 5u) * 8u + ((octet >> 3u) & 3u) * 2u + ((octet >> 1u) & 1u);
    let part = ((octet >> 2u) & 1u) * 2u + (octet & 1u);`,
  };
}

const eight = (word: (i: number) => string): string =>
  `mat2x4<f32>(vec4<f32>(${word(0)}, ${word(1)}), vec4<f32>(${word(2)}, ${word(3)}))`;

const FORMS: Readonly<Record<WeightType, UnitForm>> = {
  F32: {
    octets: 1,
    struct: 'struct Unit { q: vec4<u32>, h: vec4<u32> }',
    load: ({ vector }) => `return Unit(${vector(0, 'unit * 2u')}, ${vector(0, 'unit * 2u + 1u')});`,
    octet: () => 'mat2x4<f32>(bitcast<vec4<f32>>(u.q), bitcast<vec4<f32>>(u.h))',
  },
  F16: {
    octets: 1,
    struct: 'struct Unit { q: vec4<u32> }',
    load: ({ vector }) => `return Unit(${vector(0, 'unit')});`,
    octet: () => eight((i) => `unpack2x16float(u.q[${i}])`),
  },
  BF16: {
    octets: 1,
    struct: 'struct Unit { q: vec4<u32> }',
    load: ({ vector }) => `return Unit(${vector(0, 'unit')});`,
    octet: () => eight((i) => `bitcast<vec2<f32>>(vec2<u32>(u.q[${i}] << 16u, u.q[${i}] & 0xffff0000u))`),
  },
  Q8_0: {
    octets: 2,
    struct: 'struct Unit { q: vec4<u32>, s: f32 }',
    load: ({ vector, half }) => `return Unit(${vector(0, 'unit')}, ${half(1, '(unit >> 1u)')});`,
    octet: (i) =>
      `mat2x4<f32>(u.s * vec4<f32>(signed_of(u.q[${2 * i}])), u.s * vec4<f32>(signed_of(u.q[${2 * i + 1}])))`,
  },
  Q4_0: blockOf32(false, false),
  Q4_1: blockOf32(false, true),
  Q5_0: blockOf32(true, false),
  Q5_1: blockOf32(true, true),
  Q4_K: blockOfK(false),
  Q5_K: blockOfK(true),
  // Of 128 values, bytes 0 … 31 hold rows 0 and 2 of four, bytes 32 … 63 rows 1 and 3; units are halves of them.
  Q6_K: {
    octets: 4,
    struct: 'struct Unit { q: vec4<u32>, h: vec4<u32>, low: f32, high: f32 }',
    load: ({ vector, word, half }) => `let block = unit >> 3u;
  let side = (unit >> 2u) & 1u;
  let line = (unit >> 1u) & 1u;
  let end = unit & 1u;
  let d = ${half(3, 'block')};
  let scales = ${word(2, 'block * 4u + side * 2u')} >> (line * 16u + end * 8u);
  let others = ${word(2, 'block * 4u + side * 2u + 1u')} >> (line * 16u + end * 8u);
  return Unit(${vector(0, 'unit')}, ${vector(1, 'block * 4u + side * 2u + end')} >> vec4<u32>(line * 2u), d * f32(signed_of(scales).x), d * f32(signed_of(others).x));`,
    octet: (i) => {
      const values = nibbles(i).map(
        (q, half) =>
          `vec4<f32>(${q} | (bytes_of((u.h[${(i & 1) * 2 + half}] >> ${(i >> 1) * 4}u) & 0x03030303u) << vec4<u32>(4u)))`,
      );
      return `mat2x4<f32>(${values.map((q) => `u.${i < 2 ? 'low' : 'high'} * (${q} - vec4<f32>(32.0))`).join(', ')})`;
    },
    place: `let unit = (octet >> 5u) * 8u + ((octet >> 4u) & 1u) * 4u + ((octet >> 2u) & 1u) * 2u + ((octet >> 1u) & 1u);
    let part = ((octet >> 3u) & 1u) * 2u + (octet & 1u);`,
  },
};

/** Scale and minimum of a sub-block of 32, times those of its block. */
const SUB_SCALES = `fn sub_scales(word0: u32, word1: u32, word2: u32, sub: u32, d: vec2<f32>) -> vec2<f32> {
  let lane = (sub & 3u) * 8u;
  let a = word0 >> lane;
  let b = word1 >> lane;
  let c = word2 >> lane;
  let late = sub >= 4u;
  let scale = select(a & 63u, (c & 15u) | (((a >> 6u) & 3u) << 4u), late);
  let minimum = select(b & 63u, ((c >> 4u) & 15u) | (((b >> 6u) & 3u) << 4u), late);
  return d * vec2<f32>(f32(scale), f32(minimum));
}`;

/** The form of a type's units. */
export function unitForm(type: WeightType): UnitForm {
  return FORMS[type];
}

/** `struct Unit`, `fn octetI_of(u: Unit) -> mat2x4<f32>` for each octet. Expects READER_FUNCTIONS. */
export function unitFunctions(type: WeightType): string {
  const { struct, octets, octet } = FORMS[type];
  const parts = Array.from(
    { length: octets },
    (_, i) => `fn octet${i}_of(u: Unit) -> mat2x4<f32> { return ${octet(i)}; }`,
  );
  return [struct, ...(type === 'Q4_K' || type === 'Q5_K' ? [SUB_SCALES] : []), ...parts].join('\n');
}

/** `fn NAME(row: u32, unit: u32) -> Unit` of a buffer of `array<vec4<u32>>`. */
export function unitLoader(name: string, buffer: string, { type, rowBytes, fieldAt }: RowLayout): string {
  const words = rowBytes / 4;
  const word = (index: string): string => `${buffer}[(${index}) >> 2u][(${index}) & 3u]`;
  const code = FORMS[type].load({
    vector: (field, index) => `${buffer}[row * ${words / 4}u + ${fieldAt[field]! / 16}u + ${index}]`,
    word: (field, index) => word(`row * ${words}u + ${fieldAt[field]! / 4}u + ${index}`),
    half: (field, index) => {
      const at = `(${fieldAt[field]! / 2}u + ${index})`;
      return `unpack2x16float(${word(`row * ${words}u + (${at} >> 1u)`)})[${at} & 1u]`;
    },
  });
  return `fn ${name}(row: u32, unit: u32) -> Unit {\n  ${code}\n}`;
}
