// Uniform blocks: one list of fields gives the WGSL struct, webgpu-utils computes its layout from that WGSL.
import { makeShaderDataDefinitions, makeStructuredView } from 'webgpu-utils';

/** Field name → WGSL scalar or vector type. */
export type UniformFields = Readonly<Record<string, 'u32' | 'i32' | 'f32' | 'vec2u' | 'vec4u' | 'vec4f'>>;

/** A value per field. */
export type UniformValues<F extends UniformFields> = { readonly [K in keyof F]: number | readonly number[] };

/** A uniform struct. */
export interface UniformBlock<F extends UniformFields> {
  /** `struct NAME { … }` */
  readonly declaration: string;
  readonly bytes: number;
  pack(values: UniformValues<F>): ArrayBuffer;
}

/** Declares a uniform struct. */
export function uniformBlock<const F extends UniformFields>(name: string, fields: F): UniformBlock<F> {
  const members = Object.entries(fields).map(([field, type]) => `  ${field}: ${type},`);
  const declaration = `struct ${name} {\n${members.join('\n')}\n}`;
  const definition = makeShaderDataDefinitions(`${declaration}\n@group(0) @binding(0) var<uniform> block: ${name};`)
    .uniforms['block']!;
  return {
    declaration,
    bytes: definition.size,
    pack: (values) => {
      const view = makeStructuredView(definition);
      view.set(values);
      return view.arrayBuffer;
    },
  };
}
