// Makes a Vulkan driver loadable inside the running process: Dawn calls dlopen("libvulkan.so.1") and reads the environment.
import { globSync } from 'node:fs';
import { constants, homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { unpackSwiftShader } from '../archive.ts';

/** glibc's RTLD_NODELETE: Node closes a library that is no add-on, this keeps it mapped. */
const RTLD_NODELETE = 0x1000;
const LOADER = 'libvulkan.so.1';

/**
 * Maps a shared library into the process and leaves it there, so that a later dlopen by its SONAME finds it.
 * LD_LIBRARY_PATH cannot do this: the dynamic linker reads it once, before the process starts.
 *
 * @returns whether the library could be loaded
 */
function preload(path: string): boolean {
  try {
    process.dlopen({ exports: {} }, path, constants.dlopen.RTLD_NOW | RTLD_NODELETE);
    return true;
  } catch (error) {
    // A library that is not a Node add-on loads and is then refused with this message.
    return error instanceof Error && /did not self-register/.test(error.message);
  }
}

/** Whether the machine lists any Vulkan driver. Asked first: without one, Dawn prints warnings to standard error. */
export function hasVulkanDriver(): boolean {
  const { VK_DRIVER_FILES, VK_ICD_FILENAMES, VK_ADD_DRIVER_FILES, XDG_DATA_DIRS, XDG_DATA_HOME } = process.env;
  if (VK_DRIVER_FILES ?? VK_ICD_FILENAMES ?? VK_ADD_DRIVER_FILES) return true;
  const data = (XDG_DATA_DIRS || '/usr/local/share:/usr/share').split(':');
  const folders = ['/etc', '/etc/xdg', ...data, XDG_DATA_HOME || join(homedir(), '.local/share')];
  return folders.some((folder) => globSync(join(folder, 'vulkan/icd.d/*.json')).length > 0);
}

/** Loads the machine's Vulkan loader, else the one beside SwiftShader (which reads the machine's driver list all the same). */
export async function preloadVulkanLoader(): Promise<boolean> {
  return preload(LOADER) || preload(join(await unpackSwiftShader(), LOADER));
}

/**
 * Points the Vulkan loader at SwiftShader for the rest of this process.
 *
 * @returns a reason where that is impossible
 */
export async function selectSwiftShader(): Promise<string | undefined> {
  const manifest = join(await unpackSwiftShader(), 'vk_swiftshader_icd.json');
  if (!isMainThread && process.env['VK_DRIVER_FILES'] !== manifest) {
    return 'a worker thread cannot change the environment the Vulkan loader reads: open the GPU on the main thread first';
  }
  process.env['VK_ICD_FILENAMES'] = manifest;
  process.env['VK_DRIVER_FILES'] = manifest;
  process.env['XDG_RUNTIME_DIR'] ??= tmpdir();
  return undefined;
}
