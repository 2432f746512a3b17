/** A rate limiter binding in the isolate's memory: counts as a local simulator does, a window of a minute for all keys. */
const WINDOW_MS = 60_000

export default function limiter({ limit }: { readonly limit: number }): RateLimit {
  let counts = new Map<string, number>()
  let window = 0
  return {
    async limit({ key }) {
      const now = Math.floor(Date.now() / WINDOW_MS)
      if (now !== window) {
        counts = new Map()
        window = now
      }
      const count = (counts.get(key) ?? 0) + 1
      counts.set(key, count)
      return { success: count <= limit }
    },
  }
}
