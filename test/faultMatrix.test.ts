import { expect, it } from 'vitest'
import { play } from './support/matrix.ts'
import { WISHES, type WishName } from './support/wishes.ts'

it.each(Object.keys(WISHES) as WishName[])('G5: %s, under every fault and every crash', async (wish) => {
  const begun = performance.now()
  const { answers, left, ...counts } = await play(wish)
  const took = performance.now() - begun
  expect([`${wish} ${JSON.stringify(counts)} ${took}`, ...answers, ...left]).toEqual([])
}, 120_000)
