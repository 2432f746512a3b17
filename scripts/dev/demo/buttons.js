// The buttons: what each asks of the page's own server, and how it looks afterwards. Two of them have a way back: while it is
// banned or suspended, the same button lifts that.
import { at, note, show } from './view.js'
import { DONE } from './words.js'

const TOGGLES = {
  ban: { isOn: ({ banned }) => banned, back: 'lift', labels: ['Ban me', 'Lift the ban'] },
  suspend: {
    isOn: ({ suspended }) => suspended,
    back: 'resume',
    labels: ['Suspend the tenant', 'Resume the tenant'],
  },
}
const BREAK = 'Break upstream for 30 s'

let circumstances = { banned: false, suspended: false, upstreamFailsUntil: 0 }

const ask = async (method, name) => {
  const response = await fetch(`/demo/${name}`, { method, headers: { 'x-demo': '1' } })
  if (!response.ok) throw new Error(`${response.status}`)
  return response.json()
}

function changed(next) {
  circumstances = next
  for (const [id, { isOn, labels }] of Object.entries(TOGGLES)) show(id, labels[isOn(next) ? 1 : 0])
  showBreak()
}

function showBreak() {
  const left = Math.ceil((circumstances.upstreamFailsUntil - Date.now()) / 1000)
  show('break-upstream', left > 0 ? `Upstream fails for ${left} s` : BREAK)
}

/** Asks the server how things are: what was banned or suspended before this page was opened. */
export const refresh = () =>
  ask('GET', 'circumstances')
    .then(changed)
    .catch(() => undefined)

/** `did(action)`: called before an action is sent, and `done(action)` after it was carried out. */
export function wireButtons({ relays, did, done, restart }) {
  for (const id of ['revoke', 'ban', 'suspend', 'break-upstream']) {
    at(id).addEventListener('click', async () => {
      if (at(id).ariaBusy === 'true') return
      at(id).ariaBusy = 'true'
      const toggle = TOGGLES[id]
      const action = toggle?.isOn(circumstances) ? toggle.back : id
      try {
        did(action)
        const outcome = await ask('POST', action)
        changed(outcome)
        if (outcome.status < 400) note(DONE[action]({ ...outcome, relays }))
        else note(`The broker refused: ${outcome.status} ${outcome.code ?? ''}.`)
        if (outcome.status < 400) done(action)
      } catch {
        note('The server of this page does not answer: does npm run dev still run?')
      }
      at(id).ariaBusy = 'false'
    })
  }
  at('restart').addEventListener('click', restart)
  setInterval(showBreak, 500)
}
