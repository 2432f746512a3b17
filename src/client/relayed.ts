/** Reads from a connection's statistics whether it is relayed, at either end. */
import type { PeerConnection } from './api.ts'

/** The fields that are looked at, of any kind of entry. */
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

/** `undefined`: no pair of candidates is selected, or none can be read. */
export async function isRelayed(pc: PeerConnection): Promise<boolean | undefined> {
  const entries = new Map<unknown, Entry>()
  try {
    const report = await pc.getStats()
    report.forEach((entry) => {
      const { id } = entry as Entry // what every statistic is
      entries.set(id, entry as Entry)
    })
  } catch {
    return
  }
  const all = [...entries.values()]
  const chosen = new Set(all.map(({ selectedCandidatePairId }) => selectedCandidatePairId))
  const pairs = all.filter(({ type }) => type === 'candidate-pair')
  // Some browsers name the pair in its transport; Firefox marked the pair itself for long.
  const [selected] = [
    pairs.filter(({ id }) => chosen.has(id)),
    pairs.filter((pair) => pair.selected),
    pairs.filter(({ nominated, state }) => nominated && state === 'succeeded'),
  ].filter(({ length }) => length > 0)
  return selected?.some(({ localCandidateId, remoteCandidateId }) =>
    [localCandidateId, remoteCandidateId].some((id) => entries.get(id)?.candidateType === 'relay'),
  )
}
