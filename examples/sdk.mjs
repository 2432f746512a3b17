// Cloudflare's own SDK against the broker: `apiToken` and `baseURL` are all that differs from talking to Cloudflare.
import Cloudflare from 'cloudflare'

const broker = process.env.TURN_BROKER_URL ?? 'http://127.0.0.1:8787'
const client = new Cloudflare({ apiToken: process.env.TURN_BROKER_TOKEN, baseURL: `${broker}/client/v4` })

const created = await client.calls.turn.create({ account_id: 'demo', name: 'from the SDK' })
const key = await client.calls.turn.get(created.uid, { account_id: 'demo' })
console.log(key.uid, key.name)
