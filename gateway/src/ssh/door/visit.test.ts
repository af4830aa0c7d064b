import { pino } from 'pino'
import { expect, test } from 'vitest'
import type { LiveSession } from '../../sessions/session.ts'
import type { SshTarget } from '../target.ts'
import { Visit, type VisitOptions } from './visit.ts'

const agent = { kind: 'agent', id: 'issuer|ci', expiresAt: new Date(Date.now() + 3_600_000) }
const ref = { name: 'web-1', kind: 'ssh', mode: 'enforce', tags: [] }

test('a session that is still being opened when the client goes is closed, with why', async () => {
  const opened = Promise.withResolvers<LiveSession>()
  const closed: unknown[] = []
  const live = {
    id: 'one',
    ended: new AbortController().signal,
    onLessened: () => {},
    close: async (...how: unknown[]) => void closed.push(how),
  }
  const options = {
    target: () =>
      ({ ref, host: '127.0.0.1', port: 1, user: 'u', hostKeys: [], env: [], detect: [] }) as never as SshTarget,
    entrance: { enter: () => ({ left: () => {} }) },
    gate: {
      preview: () => ({ outcome: 'allow' }),
      submit: () => Promise.reject(new Error('nobody is asked any more')),
    },
    sessions: { open: () => opened.promise },
    approvals: () => ({ hold: 'wait' }),
    ...{ signIns: { refused: () => {} }, idleMs: 60_000, address: '192.0.2.7', log: pino({ level: 'silent' }) },
  } as unknown as VisitOptions
  const visit = new Visit({ agent, user: 'web-1' } as never, async () => {}, options)
  const channel = new AbortController()
  const begun = visit.begin({}, { tell: () => {}, signal: channel.signal })
  channel.abort(new Error('the client closed the channel'))
  void visit.end({ message: 'the client has gone' })
  opened.resolve(live as unknown as LiveSession)
  expect(await begun).toMatchObject({ refused: { message: 'the client has gone' } })
  await visit.closed
  expect(closed).toEqual([['closed', 'the client has gone']])
})
