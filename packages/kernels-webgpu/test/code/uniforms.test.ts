// Where the fields of a uniform block lie and what is packed there, against webgpu-utils, which reads the WGSL.
import { makeShaderDataDefinitions, makeStructuredView } from 'webgpu-utils';
import { expect, it } from 'vitest';
import fc from 'fast-check';
import { uniformBlock, type UniformFields } from '../../src/code/uniforms.ts';

const COMPONENTS = { u32: 1, i32: 1, f32: 1, vec2u: 2, vec4u: 4, vec4f: 4 } as const;
const types = fc.constantFrom(...(Object.keys(COMPONENTS) as (keyof typeof COMPONENTS)[]));

// webgpu-utils reads the constants of browsers.
Object.assign(globalThis, { GPUShaderStage: { VERTEX: 1, FRAGMENT: 2, COMPUTE: 4 } });

it('every struct has the size and the bytes that its WGSL has', () => {
  const fields = fc.array(fc.tuple(types, fc.array(fc.nat(1000), { minLength: 4, maxLength: 4 })), {
    minLength: 1,
    maxLength: 12,
  });
  fc.assert(
    fc.property(fields, (list) => {
      const named = Object.fromEntries(list.map(([type], i) => [`f${i}`, type])) satisfies UniformFields;
      const values = Object.fromEntries(
        list.map(([type, numbers], i) => [
          `f${i}`,
          COMPONENTS[type] === 1 ? numbers[0]! : numbers.slice(0, COMPONENTS[type]),
        ]),
      );
      const block = uniformBlock('Block', named);
      const { uniforms } = makeShaderDataDefinitions(
        `${block.declaration}\n@group(0) @binding(0) var<uniform> block: Block;`,
      );
      const view = makeStructuredView(uniforms['block']!);
      view.set(values);
      expect(block.bytes).toBe(view.arrayBuffer.byteLength);
      expect([...new Uint8Array(block.pack(values))]).toEqual([...new Uint8Array(view.arrayBuffer)]);
    }),
  );
});
