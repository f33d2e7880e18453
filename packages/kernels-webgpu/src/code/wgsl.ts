// Assembling WGSL text: joining parts, unrolling, bindings.

/** Joins the non-empty parts of a module. */
export function wgsl(...parts: readonly (string | undefined | false)[]): string {
  return `${parts.filter(Boolean).join('\n')}\n`;
}

/** `count` copies of a statement, for loops that must be unrolled. */
export function unroll(count: number, statement: (index: number) => string, separator = '\n'): string {
  return Array.from({ length: count }, (_, i) => statement(i)).join(separator);
}

/** Declares bindings 0, 1, 2 … of group 0. */
export function bindings(declarations: readonly string[]): string {
  return declarations.map((declaration, i) => `@group(0) @binding(${i}) ${declaration};`).join('\n');
}
