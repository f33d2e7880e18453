// A page's part goes into its frame; the worker's memory goes when the page does.
import { render, type ComponentType } from 'preact';
import { isolate } from './isolation.ts';

/** @param root - the playground's root, from the page */
export function mount(Page: ComponentType, root: string): void {
  render(<Page />, document.getElementById('app')!);
  void isolate(root);
}

/** Calls `free` when the visitor leaves, also where the browser keeps the page for the way back. */
export function onLeave(free: () => void): () => void {
  addEventListener('pagehide', free);
  return () => removeEventListener('pagehide', free);
}
