/** The keyed mutex: one operation of a key at a time, in the order they came; a failure is its caller's alone. */

import { expect, it } from 'vitest'
import { KeyedMutex } from '../../src/concurrency/keyedMutex.ts'

const settle = () => scheduler.wait(1)

/** An operation that notes that it began, and ends when the test says so. */
function operation(name: string, begun: string[]) {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const run = () => {
    begun.push(name)
    return promise
  }
  return { run, end: () => resolve(name), fail: () => reject(new Error(name)) }
}

it('The keyed mutex runs the operations of one key one after the other, in the order they came', async () => {
  const mutex = new KeyedMutex()
  const begun: string[] = []
  const all = ['a', 'b', 'c'].map((name) => operation(name, begun))
  const values = Promise.all(all.map(({ run }) => mutex.run('key', run)))
  for (const [at, { end }] of all.entries()) {
    await settle()
    expect(begun).toEqual(['a', 'b', 'c'].slice(0, at + 1))
    end()
  }
  expect(await values).toEqual(['a', 'b', 'c'])
})

it('The keyed mutex lets operations of different keys run side by side', async () => {
  const mutex = new KeyedMutex()
  const begun: string[] = []
  void mutex.run('one', operation('a', begun).run)
  void mutex.run('other', operation('b', begun).run)
  await settle()
  expect(begun).toEqual(['a', 'b'])
})

it('The keyed mutex gives a failure to its own caller, and runs the next operation all the same', async () => {
  const mutex = new KeyedMutex()
  const begun: string[] = []
  const [broken, next] = [operation('broken', begun), operation('next', begun)]
  const refused = expect(mutex.run('key', broken.run)).rejects.toThrow('broken')
  const value = mutex.run('key', next.run)
  broken.fail()
  next.end()
  await refused
  expect(await value).toBe('next')
})

it('The keyed mutex makes an operation wait that comes while the last of the queue runs', async () => {
  const mutex = new KeyedMutex()
  const begun: string[] = []
  const [first, second, third] = ['a', 'b', 'c'].map((name) => operation(name, begun))
  void mutex.run('key', first?.run ?? expect.fail())
  void mutex.run('key', second?.run ?? expect.fail())
  first?.end()
  await settle()
  void mutex.run('key', third?.run ?? expect.fail())
  await settle()
  expect(begun).toEqual(['a', 'b'])
  second?.end()
  await settle()
  expect(begun).toEqual(['a', 'b', 'c'])
})
