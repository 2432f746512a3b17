/** Refusals of this minute. Memory only. */
export class RefusalMemory {
  minute = 0
  readonly rows = new Map<string, { readonly seq: number; count: number }>()
}
