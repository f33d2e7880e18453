// Why there is no WebGPU, in the words of whoever reads it: in Node a package brings it, in a page the browser does.
import { nodeModule } from '../node-modules.ts';

const inNode = (): boolean => nodeModule('node:fs/promises') !== undefined;

/** Nothing has `navigator.gpu`. */
export function noGpuApi(): string {
  return inNode()
    ? 'Node has no navigator.gpu of its own (npm i webgpu, the package that brings it)'
    : 'there is no navigator.gpu (an older browser, or a page without HTTPS)';
}

/** It has no adapter. */
export function noAdapter(): string {
  return inNode()
    ? 'it finds no GPU on this machine (Vulkan, Metal or Direct3D 12, with its driver)'
    : 'the browser offers no adapter';
}
