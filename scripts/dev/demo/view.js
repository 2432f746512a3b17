// The page's elements: texts, the banner, the log, the meter of a list's life. Knows nothing of brokers and calls.

const MOST_EVENTS = 60

export const at = (id) => document.getElementById(id)

/** Changes only what differs, so that a screen reader is told once. */
export function show(id, text) {
  if (at(id).textContent !== text) at(id).textContent = text
}

export function showStatus({ state, title, detail }) {
  at('state').dataset.state = state
  show('state-title', title)
  show('state-detail', detail)
}

/** One line of what happened, newest first. */
export function note(text) {
  const item = document.createElement('li')
  const time = document.createElement('time')
  time.textContent = new Date().toLocaleTimeString()
  const words = document.createElement('span')
  words.textContent = text
  item.append(time, words)
  at('events').prepend(item)
  at('events').children[MOST_EVENTS]?.remove()
}

export function showUrls(urls) {
  at('urls').replaceChildren(
    ...urls.map((url) => {
      const item = document.createElement('li')
      item.textContent = url
      return item
    }),
  )
}

/** `from`, `renewsAt` and `expiresAt`: of the list, all like `Date.now()`. `stopped`: it will not be renewed. */
export function showLife({ from, renewsAt, expiresAt, stopped }) {
  const [life, left, renewal] = [expiresAt - from, Math.max(0, expiresAt - Date.now()), renewsAt - Date.now()]
  at('life').style.width = `${(100 * left) / life}%`
  at('life').classList.toggle('late', renewal <= 0)
  at('renewal').hidden = false
  at('renewal').style.left = `${(100 * (expiresAt - renewsAt)) / life}%`
  const coming = stopped
    ? 'It will not be renewed.'
    : renewal > 0
      ? `Renews in ${Math.ceil(renewal / 1000)} s.`
      : 'Renewal is due.'
  show('renews', left > 0 ? coming : '')
  show('ends', left > 0 ? `The list ends in ${Math.ceil(left / 1000)} s.` : 'The list has ended.')
}
