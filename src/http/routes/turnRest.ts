/**
 * Server routes that issue a credential in the form of draft-uberti-behave-turn-rest-00, for media servers. By POST the name of
 * the user is in the body; the GET of the draft has it in the URL, which logs may keep.
 */
import { Subject, type TurnRestAnswer, TurnRestRequest } from '../../contract/resources/credentials.ts'
import { secondsLeft } from '../../contract/values.ts'
import { malformed, mediaTypeOf, readForm, readJson } from '../body.ts'
import type { App, Ctx } from '../context.ts'
import { mount } from '../mount.ts'
import { issueToServer, serverRequest } from '../serverCredential.ts'

const FORM = 'application/x-www-form-urlencoded'

export function turnRestRoutes(app: App): void {
  mount(app, 'turnRestCreate', async (c) => {
    const fields = await readFields(c)
    const subject = subjectIn({ service: 'turn', ...fields })
    // Janus sends the form, and the same fields in the URL.
    const inUrl = { service: 'turn', ...c.req.query() }
    if (subjectIn(inUrl) !== subject && 'username' in inUrl)
      throw malformed('username: must be in the body; the URL may only repeat it')
    return issueTo(c, subject)
  })

  mount(app, 'turnRest', (c) => issueTo(c, subjectIn(c.req.query())))
}

/** draft-uberti-behave-turn-rest-00 §2.1 sends `service` by POST too; here it may be left out. */
async function readFields(c: Ctx): Promise<Record<string, string>> {
  if (mediaTypeOf(c, ['application/json', FORM]) === FORM) return readForm(c, ['service', 'username', 'key', 'api'])
  return { ...(await readJson(c, TurnRestRequest)).value }
}

function subjectIn({ service, username, key, api }: Record<string, string>): string | null {
  if (service !== 'turn') throw malformed('service: must be "turn"')
  if ((key ?? api) !== undefined) throw malformed('key, api: send the API token in the Authorization header instead')
  if (username === undefined) return null
  const subject = Subject.safeParse(username)
  if (!subject.success) throw malformed('username: must have 1 to 128 characters and no control characters')
  return subject.data
}

function issueTo(c: Ctx, subject: string | null): () => Promise<Response> {
  const request = serverRequest(c, { subject, requestedTtlSeconds: null, keyId: null })
  return async () => {
    const { username, credential: password, urls, expiresAt } = await issueToServer(c, request)
    const remainingSeconds = secondsLeft(expiresAt, Date.now())
    return c.json({ username, password, ttl: remainingSeconds, uris: urls.turn } satisfies TurnRestAnswer)
  }
}
