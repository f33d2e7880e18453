// For bundles that run where Dawn's binding is a file beside them, named by DAWN_NODE, not a package.
import type { Plugin } from 'rolldown';

export const dawnBeside: Plugin = {
  name: 'dawn-beside',
  resolveId: (id) => (id === 'webgpu' ? '\0webgpu' : undefined),
  load: (id) =>
    id === '\0webgpu'
      ? `import { createRequire } from 'node:module';
         const dawn = createRequire(import.meta.url)(process.env.DAWN_NODE);
         export const create = dawn.create;
         export const globals = dawn.globals;`
      : undefined,
};
