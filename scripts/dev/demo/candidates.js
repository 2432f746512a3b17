// The table of candidates: those of the last gathering, with the name of its column in each cell for narrow screens.
import { at } from './view.js'

const COLUMNS = ['Peer', 'Type', 'Protocol', 'Address', 'From']

export function addCandidate(peer, { type, protocol, address, port, url }) {
  const cells = [peer, type, protocol, `${address ?? '?'}:${port ?? '?'}`, url ?? '']
  const line = document.createElement('tr')
  line.append(
    ...cells.map((text, index) => {
      const cell = document.createElement('td')
      cell.dataset.column = COLUMNS[index]
      const inner = document.createElement('span')
      inner.textContent = text
      if (COLUMNS[index] === 'Type') inner.className = 'type'
      cell.append(inner)
      return cell
    }),
  )
  at('candidates').querySelector('.empty')?.remove()
  at('candidates').append(line)
}

export const clearCandidates = () => at('candidates').replaceChildren()
