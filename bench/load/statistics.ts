// The figures of a row: the median of its rounds, and how far the rounds lie apart. Pure.

export interface Summary {
  readonly median: number
  /** The smallest and the largest of the rounds. */
  readonly low: number
  readonly high: number
}

/** The middle value; of an even number of values the mean of the middle two. Throws for none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const [below, above] = [sorted[sorted.length % 2 === 1 ? middle : middle - 1], sorted[middle]]
  if (below === undefined || above === undefined) throw new Error('the median of nothing')
  return (below + above) / 2
}

export function summarize(rounds: readonly number[]): Summary {
  return { median: median(rounds), low: Math.min(...rounds), high: Math.max(...rounds) }
}

/** One ratio a round: both sides were measured within seconds, so what slows the machine down slows both. */
export function ratios(ours: readonly number[], theirs: readonly number[]): number[] {
  if (ours.length !== theirs.length) throw new Error(`${ours.length} rounds against ${theirs.length}`)
  return ours.map((value, round) => value / (theirs[round] ?? Number.NaN))
}

export interface Bars {
  readonly must: number | undefined
  readonly better: 'lower' | 'higher'
}

/** Whether a figure meets its bar. `noise`: its median does not, but a round does. */
export function verdict(
  { median: middle, low, high }: Summary,
  { must, better }: Bars,
): 'met' | 'noise' | 'missed' | '' {
  if (must === undefined) return ''
  const reaches = (value: number) => (better === 'lower' ? value <= must : value >= must)
  if (reaches(middle)) return 'met'
  return reaches(better === 'lower' ? low : high) ? 'noise' : 'missed'
}
