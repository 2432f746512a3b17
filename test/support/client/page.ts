/** What a page hears, for the browser library in a runtime that has no page. */
import { onTestFinished, vi } from 'vitest'

/** A page's `document` and `window`, of which only this is played: what it hears. */
export function playPage() {
  const heard = { count: 0 }
  class Counted extends EventTarget {
    override addEventListener(...given: Parameters<EventTarget['addEventListener']>) {
      heard.count++
      super.addEventListener(...given)
    }
    override removeEventListener(...given: Parameters<EventTarget['removeEventListener']>) {
      heard.count--
      super.removeEventListener(...given)
    }
  }
  const [window, document] = [new Counted(), new Counted()]
  vi.stubGlobal('document', document)
  vi.stubGlobal('addEventListener', window.addEventListener.bind(window))
  vi.stubGlobal('removeEventListener', window.removeEventListener.bind(window))
  onTestFinished(() => {
    vi.unstubAllGlobals()
  })
  const page = (type: string) => {
    const target = type === 'visibilitychange' ? document : window
    target.dispatchEvent(new Event(type))
  }
  return Object.assign(page, { listeners: () => heard.count })
}
