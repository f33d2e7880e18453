// Uniform blocks: one list of fields gives the WGSL struct and, by the rules of WGSL (section "Alignment and Size"), its bytes.

/** Components of the types that uniform blocks here are made of; each component takes four bytes. */
const TYPES = {
  u32: { components: 1, kind: 'u32' },
  i32: { components: 1, kind: 'i32' },
  f32: { components: 1, kind: 'f32' },
  vec2u: { components: 2, kind: 'u32' },
  vec4u: { components: 4, kind: 'u32' },
  vec4f: { components: 4, kind: 'f32' },
} as const;

/** Field name → WGSL scalar or vector type. */
export type UniformFields = Readonly<Record<string, keyof typeof TYPES>>;

/** A value per field. */
export type UniformValues<F extends UniformFields> = { readonly [K in keyof F]: number | readonly number[] };

/** A uniform struct. */
export interface UniformBlock<F extends UniformFields> {
  /** `struct NAME { … }` */
  readonly declaration: string;
  readonly bytes: number;
  pack(values: UniformValues<F>): ArrayBuffer;
}

/** `value` rounded up to a multiple. */
const roundUp = (value: number, multiple: number): number => Math.ceil(value / multiple) * multiple;

/** Declares a uniform struct. */
export function uniformBlock<const F extends UniformFields>(name: string, fields: F): UniformBlock<F> {
  let end = 0;
  let alignment = 4;
  const places = Object.entries(fields).map(([field, type]) => {
    const { components, kind } = TYPES[type];
    // Vectors of two and of four are aligned to their own size.
    const size = 4 * components;
    const offset = roundUp(end, size);
    end = offset + size;
    alignment = Math.max(alignment, size);
    return { field, kind, index: offset / 4 };
  });
  const bytes = roundUp(end, alignment);
  const members = Object.entries(fields).map(([field, type]) => `  ${field}: ${type},`);
  return {
    declaration: `struct ${name} {\n${members.join('\n')}\n}`,
    bytes,
    pack: (values) => {
      const buffer = new ArrayBuffer(bytes);
      const views = { u32: new Uint32Array(buffer), i32: new Int32Array(buffer), f32: new Float32Array(buffer) };
      for (const { field, kind, index } of places) {
        const value = values[field as keyof F];
        views[kind].set(typeof value === 'number' ? [value] : value, index);
      }
      return buffer;
    },
  };
}
