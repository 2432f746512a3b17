// One JSON request to a server of `npm run dev`, with a deadline. Judges no answer.

const REQUEST_DEADLINE_MS = 15_000

export interface Question {
  method: 'GET' | 'POST' | 'PATCH'
  url: string
  bearer: string
  body?: object
}

export interface Answer {
  status: number
  /** Empty where the answer is no JSON object. */
  body: Record<string, unknown>
}

export async function send({ method, url, bearer, body }: Question): Promise<Answer> {
  const response = await fetch(url, {
    method,
    headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
    signal: AbortSignal.timeout(REQUEST_DEADLINE_MS),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const parsed: unknown = await response.json().catch(() => null)
  return { status: response.status, body: typeof parsed === 'object' && parsed !== null ? { ...parsed } : {} }
}
