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

type Definition = Parameters<typeof makeStructuredView>[0];

/** webgpu-utils reads the constants of browsers, which Node has only once they are installed. */
function withStageConstants<T>(action: () => T): T {
  const scope = globalThis as { GPUShaderStage?: unknown };
  if (scope.GPUShaderStage !== undefined) return action();
  scope.GPUShaderStage = { VERTEX: 1, FRAGMENT: 2, COMPUTE: 4 };
  try {
    return action();
  } finally {
    delete scope.GPUShaderStage;
  }
}

/** Declares a uniform struct. */
export function uniformBlock<const F extends UniformFields>(name: string, fields: F): UniformBlock<F> {
  const members = Object.entries(fields).map(([field, type]) => `  ${field}: ${type},`);
  const declaration = `struct ${name} {\n${members.join('\n')}\n}`;
  let cached: Definition | undefined;
  const definition = (): Definition =>
    (cached ??= withStageConstants(
      () =>
        makeShaderDataDefinitions(`${declaration}\n@group(0) @binding(0) var<uniform> block: ${name};`).uniforms[
          'block'
        ]!,
    ));
  return {
    declaration,
    get bytes() {
      return makeStructuredView(definition()).arrayBuffer.byteLength;
    },
    pack: (values) => {
      const view = makeStructuredView(definition());
      view.set(values);
      return view.arrayBuffer;
    },
  };
}
