// Text to HTML: escaping, and the little Markdown that the document's words use.

/** For element content and quoted attributes. */
export const escapeHtml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')

/** Code spans and links, in one line. */
export const inline = (text: string): string =>
  escapeHtml(text)
    .replaceAll(/`([^`]+)`/g, '<code>$1</code>')
    .replaceAll(/\[([^\]]+)\]\((https:[^)\s]+)\)/g, '<a href="$2">$1</a>')

/** Paragraphs, separated by empty lines. */
export const paragraphs = (text: string): string =>
  text
    .split('\n\n')
    .map((part) => `<p>${inline(part)}</p>`)
    .join('\n')

/** A table whose cells are HTML. Narrow screens show each row as a block, with the headings from `data-label`. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = (row: readonly string[]) =>
    row.map((cell, at) => `<td data-label="${escapeHtml(headings[at] ?? '')}">${cell}</td>`).join('')
  const head = headings.map((heading) => `<th scope="col">${escapeHtml(heading)}</th>`).join('')
  return `<table><thead><tr>${head}</tr></thead><tbody>\n${rows.map((row) => `<tr>${cells(row)}</tr>`).join('\n')}\n</tbody></table>`
}

/** JSON to read, folded away. */
export const example = (summary: string, value: unknown): string =>
  `<details><summary>${escapeHtml(summary)}</summary><pre tabindex="0"><code>${escapeHtml(JSON.stringify(value, null, 2))}</code></pre></details>`

/** An anchor out of a name: letters, digits and hyphens. */
export const anchor = (name: string): string => name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')
