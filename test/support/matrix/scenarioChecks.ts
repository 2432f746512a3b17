/** What must hold of each scenario of the fault matrix, beside what the oracle asks of all. */
import type { Answer } from '../broker/answer.ts'
import { usernameIn } from '../tenants/issuing.ts'
import { type Aftermath, liveOf } from './oracle.ts'
import type { Scenario } from './scenarioSteps.ts'

const keysNamed = (after: Aftermath, name: string) => liveOf(after).filter((key) => key.name.endsWith(` ${name}`))
export const isLive = (after: Aftermath, uid: string) => liveOf(after).some((key) => key.uid === uid)
export const finding = (wrong: boolean, what: string): string[] => (wrong ? [what] : [])
const uidIn = (answer: Answer | undefined) => (answer?.status === 201 ? String(answer.json.result.uid) : undefined)

export const checkCreation: Scenario['check'] = ({ name }, answer, after, again) => {
  const keys = keysNamed(after, name)
  const first = uidIn(answer)
  const second = uidIn(again)
  return [
    ...finding(keys.length > 1, `${keys.length} usable keys for one scenario`),
    ...finding(first !== undefined && keys[0]?.uid !== first, 'the key that was answered is not there'),
    ...finding(first !== undefined && second !== first, 'the repeat was given no or another key'),
    ...finding(second !== undefined && keys[0]?.uid !== second, 'the key that the repeat was given is not there'),
    ...finding(second === undefined && keys.length > 0, 'there is a key, and the repeat was told that there is none'),
    ...finding(
      second === undefined && again !== undefined && again.headers.get('x-should-retry') !== 'false',
      `the repeat was given no final answer: ${again?.text}`,
    ),
  ]
}
export const checkRemoval: Scenario['check'] = ({ uid }, answer, after) => {
  const row = after.rows.find((each) => each.uid === uid)
  return [
    ...finding(answer?.status === 200 && isLive(after, uid), 'answered as deleted, and there'),
    ...finding(row?.state === 'deleted' && row.sealed !== null, 'deleted, and its secret kept'),
  ]
}
export const checkName: Scenario['check'] = ({ uid }, answer, after) => {
  const row = after.rows.find((each) => each.uid === uid)
  const key = after.upstream.keys.find((each) => each.uid === uid)
  return [
    ...finding(row?.state === 'active' && !key?.name.endsWith(` ${row.name}`), 'two names for one key'),
    ...finding(answer?.status === 200 && !String(row?.name).endsWith('x'), 'the answered name is not there'),
  ]
}
export const checkMint: Scenario['check'] = (_thing, answer, after) =>
  finding(
    answer?.status === 201 && !after.issued.some(({ username }) => username === usernameIn(answer)),
    'handed out and not in the ledger',
  )
export const checkRevocation: Scenario['check'] = ({ username }, answer, after) => {
  const known = after.upstream.credentials.find((each) => each.username === username)
  return finding(answer?.status === 204 && known?.revoked !== true, 'answered as revoked, and usable')
}
export const checkRotation: Scenario['check'] = ({ name, uid }, answer, after, again) => {
  const keys = keysNamed(after, name)
  const made = [answer, again].map((it) => (it?.status === 201 ? String(it.json.key.uid) : undefined))
  const wrong = made.filter((it) => it !== undefined && it !== keys[0]?.uid)
  return [
    ...finding(keys.length !== 1, `${keys.length} usable keys after a rotation`),
    ...finding(wrong.length > 0, 'the key that was answered is not there'),
    ...finding(
      made.every((it) => it === undefined) && keys[0]?.uid !== uid,
      'rotated, and nobody was told the new key',
    ),
  ]
}
export const checkImport: Scenario['check'] = ({ uid }, _answer, after, again) => {
  const row = after.rows.find((each) => each.uid === uid)
  return [
    ...finding(!isLive(after, uid), 'a key that was made by hand was deleted'),
    ...finding(again !== undefined && again.status < 300 && row?.state !== 'active', 'imported, and not active'),
  ]
}
