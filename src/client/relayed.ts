/** Reads from `getStats()` whether a connection is relayed at either end. */
import type { PeerConnection } from './api.ts'

/** The fields used, of all kinds of statistics. */
interface Entry {
  id: string
  type: string
  selectedCandidatePairId?: string
  selected?: boolean
  nominated?: boolean
  state?: string
  localCandidateId?: string
  remoteCandidateId?: string
  candidateType?: string
}

/** `undefined`: no candidate pair is selected, or the statistics cannot be read. */
export async function isRelayed(pc: PeerConnection): Promise<boolean | undefined> {
  const entries = new Map<unknown, Entry>()
  try {
    const report = await pc.getStats()
    report.forEach((entry) => {
      const { id } = entry as Entry // every statistic has an id
      entries.set(id, entry as Entry)
    })
  } catch {
    return
  }
  const all = [...entries.values()]
  const selectedIds = new Set(all.map(({ selectedCandidatePairId }) => selectedCandidatePairId))
  const pairs = all.filter(({ type }) => type === 'candidate-pair')
  // Most browsers name the selected pair in the `transport` entry. Older Firefox sets `selected` on the pair.
  const [selected] = [
    pairs.filter(({ id }) => selectedIds.has(id)),
    pairs.filter((pair) => pair.selected),
    pairs.filter(({ nominated, state }) => nominated && state === 'succeeded'),
  ].filter(({ length }) => length > 0)
  return selected?.some(({ localCandidateId, remoteCandidateId }) =>
    [localCandidateId, remoteCandidateId].some((id) => entries.get(id)?.candidateType === 'relay'),
  )
}
