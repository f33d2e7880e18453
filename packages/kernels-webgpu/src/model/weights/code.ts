// WGSL that reads eight values of a stored row, from the layout of layout.ts, as two vec4<f32>.
import type { RowLayout } from './layout.ts';
import type { WeightType } from './types.ts';

/** Names and layout of a matrix in a module. */
interface Source {
  /** Binding of `array<vec4<u32>>`. */
  readonly buffer: string;
  readonly layout: RowLayout;
}

/** Bytes of a word as four u32. */
const bytesOf = (word: string): string => `((vec4<u32>(${word}) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(255u))`;
/** Bytes of a word as four signed i32. */
const signedOf = (word: string): string =>
  `(bitcast<vec4<i32>>(vec4<u32>(${word}) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u))`;
/** Four nibbles of a word, of the low or high halves of its bytes. */
const nibbles = (word: string, shift: string): string => `bytes_of((${word} >> ${shift}) & 0x0f0f0f0fu)`;

/**
 * Bodies of `fn NAME(row: u32, octet: u32) -> mat2x4<f32>`; `at(i)` is word i of the row, `field(f)` the word where field f begins,
 * `half(f, i)` half i of field f as f32.
 */
interface Reader {
  readonly at: (index: string) => string;
  /** Words i (even) and i + 1 of the row as `vec2<u32>`, of one load. */
  readonly pair: (index: string) => string;
  readonly vector: (index: string) => string;
  readonly field: (index: number) => string;
  readonly half: (field: number, index: string) => string;
}

/** Types of 32 values with nibbles: their octets are bytes 8j … 8j + 7, of their low halves and then of the high ones. */
const nibbleBlock =
  (fifthField: number | undefined, scaleField: number, minimum: boolean) =>
  ({ at, pair, field, half }: Reader): string => {
    const five = fifthField !== undefined;
    const centre = five ? '16.0' : '8.0';
    return `  let block = octet >> 2u;
  let part = octet & 3u;
  let first = block * 4u + (part & 1u) * 2u;
  let shift = (part >> 1u) * 4u;
  let words = ${pair('first')};
  var low = ${nibbles('words.x', 'shift')};
  var high = ${nibbles('words.y', 'shift')};
  ${
    five
      ? `let fifth = ${at(`${field(fifthField)} + block`)} >> (part * 8u);
  low |= ((vec4<u32>(fifth) >> vec4<u32>(0u, 1u, 2u, 3u)) & vec4<u32>(1u)) << vec4<u32>(4u);
  high |= ((vec4<u32>(fifth) >> vec4<u32>(4u, 5u, 6u, 7u)) & vec4<u32>(1u)) << vec4<u32>(4u);`
      : ''
  }
  ${
    minimum
      ? `let scale = unpack2x16float(${at(`${field(scaleField)} + block`)});
  return mat2x4<f32>(scale.x * vec4<f32>(low) + vec4<f32>(scale.y), scale.x * vec4<f32>(high) + vec4<f32>(scale.y));`
      : `let scale = ${half(scaleField, 'block')};
  return mat2x4<f32>(scale * (vec4<f32>(low) - vec4<f32>(${centre})), scale * (vec4<f32>(high) - vec4<f32>(${centre})));`
  }`;
  };

/** Blocks of 256 in sub-blocks of 32 (four octets), each with a scale and a minimum of 6 bits out of three words. */
const kBlock =
  (five: boolean) =>
  ({ at, pair, field }: Reader): string => {
    const scales = field(five ? 2 : 1);
    return `  let block = octet >> 5u;
  let sub = (octet >> 2u) & 7u;
  let part = octet & 3u;
  let first = block * 32u + (sub >> 1u) * 8u + part * 2u;
  let shift = (sub & 1u) * 4u;
  let words = ${pair('first')};
  var low = ${nibbles('words.x', 'shift')};
  var high = ${nibbles('words.y', 'shift')};
  ${
    five
      ? `let fifth = ${pair(`(${field(1)} + block * 8u + part * 2u)`)};
  low |= bytes_of((fifth.x >> sub) & 0x01010101u) << vec4<u32>(4u);
  high |= bytes_of((fifth.y >> sub) & 0x01010101u) << vec4<u32>(4u);`
      : ''
  }
  let packed = ${scales} + block * 3u;
  let lane = (sub & 3u) * 8u;
  let word0 = ${at('packed')} >> lane;
  let word1 = ${at('packed + 1u')} >> lane;
  let word2 = ${at('packed + 2u')} >> lane;
  let late = sub >= 4u;
  let scale = f32(select(word0 & 63u, (word2 & 15u) | (((word0 >> 6u) & 3u) << 4u), late));
  let minimum = f32(select(word1 & 63u, ((word2 >> 4u) & 15u) | (((word1 >> 6u) & 3u) << 4u), late));
  let d = unpack2x16float(${at(`${field(five ? 3 : 2)} + block`)});
  let step = d.x * scale;
  let offset = vec4<f32>(d.y * minimum);
  return mat2x4<f32>(step * vec4<f32>(low) - offset, step * vec4<f32>(high) - offset);`;
  };

const halves = (word: (i: number) => string): string =>
  `mat2x4<f32>(vec4<f32>(${word(0)}, ${word(1)}), vec4<f32>(${word(2)}, ${word(3)}))`;

const READERS: Readonly<Record<WeightType, (reader: Reader) => string>> = {
  F32: ({ vector }) =>
    `  return mat2x4<f32>(bitcast<vec4<f32>>(${vector('octet * 2u')}), bitcast<vec4<f32>>(${vector('octet * 2u + 1u')}));`,
  F16: ({ vector }) => `  let words = ${vector('octet')};
  return ${halves((i) => `unpack2x16float(words[${i}])`)};`,
  BF16: ({ vector }) => `  let words = ${vector('octet')};
  let even = bitcast<vec4<f32>>(words << vec4<u32>(16u));
  let odd = bitcast<vec4<f32>>(words & vec4<u32>(0xffff0000u));
  return mat2x4<f32>(vec4<f32>(even.x, odd.x, even.y, odd.y), vec4<f32>(even.z, odd.z, even.w, odd.w));`,
  Q8_0: ({ pair, half }) => `  let scale = ${half(1, '(octet >> 2u)')};
  let words = ${pair('(octet * 2u)')};
  return mat2x4<f32>(scale * vec4<f32>(signed_of(words.x)), scale * vec4<f32>(signed_of(words.y)));`,
  Q4_0: nibbleBlock(undefined, 1, false),
  Q4_1: nibbleBlock(undefined, 1, true),
  Q5_0: nibbleBlock(1, 2, false),
  Q5_1: nibbleBlock(1, 2, true),
  Q4_K: kBlock(false),
  Q5_K: kBlock(true),
  Q6_K: ({ at, pair, field, half }) => `  let block = octet >> 5u;
  let side = (octet >> 4u) & 1u;
  let quarter = (octet >> 2u) & 3u;
  let part = octet & 3u;
  let first = block * 32u + side * 16u + (quarter & 1u) * 8u + part * 2u;
  let shift = (quarter >> 1u) * 4u;
  let words = ${pair('first')};
  let upper = ${pair(`(${field(1)} + block * 16u + side * 8u + part * 2u)`)};
  let low = ${nibbles('words.x', 'shift')} | (bytes_of((upper.x >> (quarter * 2u)) & 0x03030303u) << vec4<u32>(4u));
  let high = ${nibbles('words.y', 'shift')} | (bytes_of((upper.y >> (quarter * 2u)) & 0x03030303u) << vec4<u32>(4u));
  let index = side * 8u + quarter * 2u + (part >> 1u);
  let word = ${at(`${field(2)} + block * 4u + (index >> 2u)`)};
  let scale = ${half(3, 'block')} * f32(bitcast<i32>(word << (24u - (index & 3u) * 8u)) >> 24u);
  return mat2x4<f32>(scale * (vec4<f32>(low) - vec4<f32>(32.0)), scale * (vec4<f32>(high) - vec4<f32>(32.0)));`,
};

/** Functions that the readers call. */
export const READER_FUNCTIONS = `fn bytes_of(word: u32) -> vec4<u32> { return ${bytesOf('word')}; }
fn signed_of(word: u32) -> vec4<i32> { return ${signedOf('word')}; }
fn half_of(words: vec4<u32>, upper: bool) -> vec2<u32> { return select(words.xy, words.zw, upper); }`;

/**
 * `fn NAME(row: u32, octet: u32) -> mat2x4<f32>`: values 8·octet … 8·octet + 7 of a row, as the CPU's kernels and ggml define them.
 * Expects {@link READER_FUNCTIONS}.
 */
export function readerCode(name: string, { buffer, layout }: Source): string {
  const { type, rowBytes, fieldAt } = layout;
  const words = rowBytes / 4;
  const code = READERS[type]({
    // The row's first word is folded in once.
    at: (index) => `${buffer}[(base + ${index}) >> 2u][(base + ${index}) & 3u]`,
    vector: (index) => `${buffer}[row * ${words / 4}u + ${index}]`,
    // Rows begin with a word of 16 bytes.
    pair: (index) => `half_of(${buffer}[row * ${words / 4}u + (${index} >> 2u)], (${index} & 2u) != 0u)`,
    field: (index) => `${fieldAt[index]! / 4}u`,
    half: (field, index) => {
      const at = `(${fieldAt[field]! / 2}u + ${index})`;
      return `unpack2x16float(${buffer}[(base + (${at} >> 1u)) >> 2u][(base + (${at} >> 1u)) & 3u])[${at} & 1u]`;
    },
  });
  const base = code.includes('base') ? `  let base = row * ${words}u;\n` : '';
  return `fn ${name}(row: u32, octet: u32) -> mat2x4<f32> {\n${base}${code}\n}`;
}
