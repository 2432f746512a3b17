/** The entries of `policy.issuers` in docs/identity-providers.md, read out of the page itself. */
import page from '../../../docs/identity-providers.md?raw'

/** By heading, in the order of the page. */
export const ENTRIES: ReadonlyMap<string, readonly object[]> = new Map(
  page
    .split(/^## /m)
    .slice(1)
    .map((section): [string, object[]] => [
      section.slice(0, section.indexOf('\n')),
      [...section.matchAll(/^```json\n([^`]*)^```/gm)].map(([, json]) => JSON.parse(json ?? '')),
    ]),
)
