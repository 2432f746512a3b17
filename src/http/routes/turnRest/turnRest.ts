/**
 * The server route that issues a credential in the dialect a client reads (dialects.ts). By POST the name of the user is in the
 * body; the GET of draft-uberti-behave-turn-rest-00 has it in the URL, which logs may keep. Query parameters that the route does
 * not know are ignored, because media servers send `api` and `key`; the token is in the header.
 */
import { Subject, TURN_REST_FORMATS, TurnRestRequest, TurnService } from '../../../contract/resources/credentials.ts'
import { malformed, mediaTypeOf, readAnyJson, readForm } from '../../body.ts'
import type { App, Ctx } from '../../context.ts'
import { mount } from '../../mount.ts'
import { issueToServer, serverRequest } from '../../serverCredential.ts'
import { DIALECTS } from './dialects.ts'

const FORM = 'application/x-www-form-urlencoded'

interface Fields {
  readonly username?: string
  readonly service?: string
}

export function turnRestRoutes(app: App): void {
  mount(app, 'turnRestCreate', async (c) => {
    const inUrl = subjectIn(c.req.query())
    const subject = subjectIn(await readFields(c))
    // Janus sends the same fields in the form and in the URL.
    if (inUrl !== null && inUrl !== subject)
      throw malformed('username: must be in the body; the URL may only repeat it')
    return issueTo(c, subject)
  })

  mount(app, 'turnRest', (c) => issueTo(c, subjectIn(c.req.query())))
}

/** Without a content type the body is JSON or empty. */
async function readFields(c: Ctx): Promise<Fields> {
  if (c.req.header('Content-Type') && mediaTypeOf(c, ['application/json', FORM]) === FORM)
    return readForm(c, ['service', 'username', 'key', 'api'])
  return (await readAnyJson(c, TurnRestRequest)).value
}

/** `service` may be left out. */
function subjectIn({ username, service = 'turn' }: Fields): string | null {
  if (!TurnService.safeParse(service).success) throw malformed('service: must be "turn"')
  if (username === undefined) return null
  const subject = Subject.safeParse(username)
  if (!subject.success) throw malformed('username: must have 1 to 128 characters and no control characters')
  return subject.data
}

function issueTo(c: Ctx, subject: string | null): () => Promise<Response> {
  const request = serverRequest(c, { subject, requestedTtlSeconds: null, keyId: null })
  const named = c.req.query('format') ?? 'uberti'
  const format = TURN_REST_FORMATS.find((each) => each === named)
  if (!format) throw malformed(`format: must be one of: ${TURN_REST_FORMATS.join(', ')}`)
  return async () => {
    const { contentType, body } = DIALECTS[format](await issueToServer(c, request), Date.now())
    return c.body(body, 200, { 'Content-Type': contentType })
  }
}
