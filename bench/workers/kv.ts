/** What stands behind the KV bindings: workerd's own binding asks this Worker over HTTP; it keeps the values in memory. */
const values = new Map<string, string>()

export default {
  async fetch(request: Request): Promise<Response> {
    const key = new URL(request.url).pathname
    if (request.method === 'PUT') values.set(key, await request.text())
    else if (request.method === 'DELETE') values.delete(key)
    else {
      const value = values.get(key)
      return value === undefined ? new Response(null, { status: 404 }) : new Response(value)
    }
    return new Response(null, { status: 204 })
  },
}
