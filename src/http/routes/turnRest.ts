/** Server route that issues a credential in the form of draft-uberti-behave-turn-rest-00, for media servers. */
import { Subject, type TurnRestAnswer } from '../../contract/resources/credentials.ts'
import { secondsLeft } from '../../contract/values.ts'
import { malformed } from '../body.ts'
import type { App } from '../context.ts'
import { mount } from '../mount.ts'
import { issueToServer, serverRequest } from '../serverCredential.ts'

export function turnRestRoutes(app: App): void {
  mount(app, 'turnRest', (c) => {
    if (c.req.query('service') !== 'turn') throw malformed('service: must be "turn"')
    if (c.req.query('key') !== undefined || c.req.query('api') !== undefined) {
      throw malformed('key, api: send the API token in the Authorization header, not in the URL')
    }
    const request = serverRequest(c, {
      subject: subjectOf(c.req.query('username')),
      requestedTtlSeconds: null,
      keyId: null,
    })
    return async () => {
      const { username, credential: password, urls, expiresAt } = await issueToServer(c, request)
      const remainingSeconds = secondsLeft(expiresAt, Date.now())
      return c.json({ username, password, ttl: remainingSeconds, uris: urls.turn } satisfies TurnRestAnswer)
    }
  })
}

function subjectOf(username: string | undefined): string | null {
  if (username === undefined) return null
  const subject = Subject.safeParse(username)
  if (!subject.success) throw malformed('username: must have 1 to 128 characters and no control characters')
  return subject.data
}
