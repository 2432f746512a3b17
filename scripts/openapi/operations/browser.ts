// The browser door: the one route for pages and apps, and its preflight.
import type { Operations } from '../operation.ts'

export const BROWSER: Operations<'iceServers' | 'iceServersPreflight'> = {
  iceServers: {
    tag: 'ICE servers',
    summary: 'Get ICE servers for a connection',
    description:
      'Pass the whole answer to `new RTCPeerConnection()`. Send the token as `Authorization: Bearer`, or as `access_token` in the body, but not both. A form, and JSON sent as `text/plain`, need no CORS preflight. Until half of its life has passed, the same user gets the same credential again. A request may always be repeated.',
    headers: ['Origin'],
    body: {
      presence: 'optional',
      description: 'A form, JSON, or nothing. At most 32 KiB.',
      content: {
        'application/x-www-form-urlencoded': ['IceServersForm', 'iceServersForm'],
        'application/json': ['IceServersRequest', 'iceServersRequest'],
        'text/plain': ['IceServersRequest', 'iceServersRequest'],
      },
    },
    answers: {
      201: {
        description: 'ICE servers. Without `source: stun-only` they hold a TURN credential.',
        headers: ['Server-Timing', 'Vary', 'Access-Control-Allow-Origin', 'Access-Control-Expose-Headers'],
        json: ['IceServers', 'iceServers'],
      },
    },
    errors: [
      'ttl_too_long',
      'origin_not_allowed',
      'conflict',
      'tenant_suspended',
      'subject_banned',
      'no_turn_key',
      'subject_limit',
      'tenant_limit',
      'upstream_failed',
      'upstream_unavailable',
    ],
  },
  iceServersPreflight: {
    tag: 'ICE servers',
    summary: 'Answer the CORS preflight of a page',
    description:
      'Browsers send it by themselves when the request has an `Authorization` header, a header of the page’s own, or a body of type `application/json`. Every header name that is asked for is allowed, up to 30 names in 1,024 characters.',
    headers: ['Origin'],
    answers: {
      204: {
        description: 'The page may send the request.',
        headers: [
          'Vary',
          'Access-Control-Allow-Origin',
          'Access-Control-Expose-Headers',
          'Access-Control-Allow-Methods',
          'Access-Control-Allow-Headers',
          'Access-Control-Max-Age',
        ],
      },
    },
    errors: ['invalid_request', 'origin_not_allowed', 'rate_limited', 'storage_failed', 'broker_busy'],
  },
}
