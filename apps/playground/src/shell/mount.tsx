// A page's part goes into its frame; the worker's memory goes when the page does.
import { render, type ComponentType } from 'preact';
import { isolate } from './isolation.ts';

/** @param root - the playground's root, from the page */
export function mount(Page: ComponentType, root: string): void {
  render(<Page />, document.getElementById('app')!);
  for (const type of ['dragover', 'drop'] as const) addEventListener(type, refuseFile);
  void isolate(root);
}

/** A file that misses its place would be opened instead of the page, and all that the page holds be gone. */
function refuseFile(event: DragEvent): void {
  if (event.defaultPrevented || !event.dataTransfer?.types.includes('Files')) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = 'none';
}

/** Calls `free` when the visitor leaves, also where the browser keeps the page for the way back: it begins anew then, as its worker is gone. */
export function onLeave(free: () => void): () => void {
  const back = ({ persisted }: PageTransitionEvent): void => {
    if (persisted) location.reload();
  };
  addEventListener('pagehide', free);
  addEventListener('pageshow', back);
  return () => {
    removeEventListener('pagehide', free);
    removeEventListener('pageshow', back);
  };
}
