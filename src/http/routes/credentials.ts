/** Server routes of live credentials and subjects. Must not show a password or take a subject in a URL. */
import { SubjectId } from '../../contract/resources/credentials.ts'
import { SubjectSearch } from '../../contract/resources/revocations.ts'
import { TurnKeyUid } from '../../contract/values.ts'
import { BrokerError } from '../../errors.ts'
import { malformed, readJson } from '../body.ts'
import { callOf, tenantOf } from '../call.ts'
import type { App } from '../context.ts'
import { mount } from '../mount.ts'
import { call, tenantObject } from '../objects.ts'
import { readPage, writePage } from '../pages.ts'

export function credentialRoutes(app: App): void {
  mount(app, 'credentialList', async (c) => {
    const subjectId = c.req.query('subjectId') ?? null
    const keyId = c.req.query('keyId') ?? null
    if (subjectId !== null && !SubjectId.safeParse(subjectId).success) throw malformed('subjectId: must be an id su_…')
    if (keyId !== null && !TurnKeyUid.safeParse(keyId).success)
      throw malformed('keyId: must be the uid of a TURN key, 32 characters')
    const filter = JSON.stringify([subjectId, keyId])
    const page = await readPage(c, 'credentialList', filter)
    return async () => {
      const list = await call(tenantObject(c, tenantOf(c)).listCredentials({ ...callOf(c), ...page, subjectId, keyId }))
      return c.json(await writePage(c, 'credentialList', list, filter))
    }
  })

  mount(app, 'subjectSearch', async (c) => {
    const { value } = await readJson(c, SubjectSearch)
    return async () =>
      c.json(await call(tenantObject(c, tenantOf(c)).searchSubject({ ...callOf(c), subject: value.subject })))
  })

  mount(app, 'subjectErase', (c) => async () => {
    const subjectId = SubjectId.safeParse(c.req.param('subject_id'))
    if (!subjectId.success) throw new BrokerError('not_found', { detail: 'No such subject.' })
    await call(tenantObject(c, tenantOf(c)).eraseSubject({ ...callOf(c), subjectId: subjectId.data }))
    return c.body(null, 204)
  })
}
