// Web pages in place of files: servers of single-page apps answer with one for every name.

/** Whether a text is a web page. */
export function isPage(text: string): boolean {
  return /^\s*(?:<!--[^>]*-->\s*)*<(?:!doctype html|html|head|body)\b/i.test(text.slice(0, 1000));
}
