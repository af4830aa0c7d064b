import type { Approval } from '@countersign/contract/approval'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Settings } from '../../console-api.ts'
import { createAttention, loudEvery, noticeOf, plainText, quietFor, undoTime } from './attention.ts'
import { seenNotices, standingClock } from './testing/console.ts'
import { someApproval } from './testing/small-gateway.ts'

const minute = 60_000

function arrange(settings: Partial<Settings['notifications']> = {}) {
  const clock = standingClock()
  const notifier = seenNotices()
  const counts: number[] = []
  const denied: string[] = []
  let tags = 0
  const attention = createAttention({
    clock,
    notifier,
    badge: { set: (count) => counts.push(count) },
    settings: { enabled: true, content: 'command', quietHours: null, ...settings },
    deny: (approval) => denied.push(approval.id),
    newTag: () => `tag-${++tags}`,
  })
  return { clock, notifier, counts, denied, attention }
}

const start = Date.parse('2026-11-21T12:00:00Z')
const held = (id: string, given: Partial<Approval> = {}): Approval => ({
  ...someApproval(),
  id,
  requestedAt: new Date(start).toISOString(),
  expiresAt: new Date(start + 10 * minute).toISOString(),
  ...given,
})

test('notifies of what this person may decide, once, and counts it', () => {
  const { attention, notifier, counts } = arrange()
  const approvals = [held('ap_1'), held('ap_2', { mayDecide: false }), held('ap_3', { state: 'approved' })]
  attention.pending(approvals)
  attention.pending(approvals)
  expect(notifier.history.map(({ target }) => target)).toEqual(['/queue/ap_1'])
  expect(counts.at(-1)).toBe(1)
})

test('withdraws what was decided elsewhere or has expired', () => {
  const { attention, notifier, counts } = arrange()
  attention.pending([held('ap_1'), held('ap_2')])
  expect(notifier.shown.size).toBe(2)
  attention.pending([held('ap_2')])
  expect([...notifier.shown.values()].map(({ target }) => target)).toEqual(['/queue/ap_2'])
  expect(counts.at(-1)).toBe(1)
})

test('repeats once at half time, and never again', () => {
  const { attention, notifier, clock } = arrange()
  attention.pending([held('ap_1')])
  clock.move(4 * minute)
  expect(notifier.history).toHaveLength(1)
  clock.move(2 * minute)
  expect(notifier.history).toHaveLength(2)
  clock.move(10 * minute)
  expect(notifier.history).toHaveLength(2)
})

test('says nothing while the window has the focus; at half time it does, if nobody looks', () => {
  const { attention, notifier, clock } = arrange()
  attention.focused(true)
  attention.pending([held('ap_1')])
  expect(notifier.history).toEqual([])
  attention.focused(false)
  attention.pending([held('ap_1')])
  expect(notifier.history).toEqual([])
  clock.move(6 * minute)
  expect(notifier.history).toHaveLength(1)
})

test('is quiet in quiet hours, and says what still waits when they are over', () => {
  const local = new Date(start)
  const at = (minutes: number) => {
    const time = new Date(local.getTime() + minutes * minute)
    return `${String(time.getHours()).padStart(2, '0')}:${String(time.getMinutes()).padStart(2, '0')}`
  }
  const { attention, notifier, clock, counts } = arrange({ quietHours: { from: at(-60), to: at(8) } })
  attention.pending([held('ap_1')])
  expect(notifier.history).toEqual([])
  expect(counts.at(-1)).toBe(1)
  clock.move(9 * minute)
  expect(notifier.history).toHaveLength(1)
})

const need = someApproval().requirements[0]!
const escalated = { requirements: [{ ...need, escalatedTo: ['sre'] }] }
const asked: Partial<Approval> = {
  session: '',
  purpose: 'refund \u202eof ticket 8812',
  access: {
    grants: ['gr_1'],
    requestedBy: { kind: 'agent', id: 'x', name: 'support-copilot' },
    seconds: 5400,
  },
}

test('what is escalated is said again and again, for as long as it can be decided, until somebody has', () => {
  const { attention, notifier, clock } = arrange()
  attention.pending([held('ap_1')])
  clock.move(minute)
  attention.pending([held('ap_1', escalated)])
  expect(notifier.history).toHaveLength(2)
  expect(notifier.history.at(-1)).toMatchObject({
    title: 'Nobody answered: billing-cleanup waits on orders',
    urgent: true,
  })
  clock.move(loudEvery)
  clock.move(loudEvery)
  expect(notifier.history).toHaveLength(4)
  expect(new Set(notifier.history.map(({ tag }) => tag)).size).toBe(1)
  attention.focused(true)
  clock.move(loudEvery)
  expect(notifier.history).toHaveLength(4)
  attention.pending([])
  attention.focused(false)
  clock.move(60 * minute)
  expect(notifier.history).toHaveLength(4)
})

test('what becomes mine by escalation is told at once, and loud', () => {
  const { attention, notifier, clock } = arrange()
  attention.pending([held('ap_1', { mayDecide: false })])
  expect(notifier.history).toEqual([])
  attention.pending([held('ap_1', escalated)])
  clock.move(60 * minute)
  expect(notifier.history.length).toBeGreaterThan(2)
  expect(notifier.history.length).toBeLessThanOrEqual(5)
})

test('quiet hours let through what a policy calls critical, and nothing else, however loud', () => {
  const time = (minutes: number) => {
    const at = new Date(start + minutes * minute)
    return `${String(at.getHours()).padStart(2, '0')}:${String(at.getMinutes()).padStart(2, '0')}`
  }
  const { attention, notifier, clock } = arrange({ quietHours: { from: time(-60), to: time(60) } })
  const critical = { requirements: [{ ...need, critical: true }] }
  attention.pending([held('ap_1'), held('ap_2', escalated), held('ap_3', critical)])
  expect(notifier.history.map(({ target }) => target)).toEqual(['/queue/ap_3'])
  clock.move(6 * minute)
  expect(notifier.history.map(({ target }) => target)).toEqual(['/queue/ap_3', '/queue/ap_3'])
})

test('a request for access says who asks for what, for how long; how much is the person’s setting', () => {
  const notice = (content: 'command' | 'name' | 'nothing', more: Partial<Approval> = {}) =>
    noticeOf(held('ap_1', { ...asked, ...more }), 't', content)
  expect(notice('command')).toMatchObject({
    title: 'billing-cleanup asks for access to orders',
    body: 'for 1 h 30 min: refund \uFFFDof ticket 8812',
    action: 'deny',
  })
  expect(notice('name').body).toBe('It waits for your decision.')
  expect(notice('nothing').body).not.toContain('refund')
  const plan = { access: { ...asked.access!, plan: 'pl_1', title: 'Month end', grants: ['a', 'b', 'c'] } }
  expect(notice('command', plan).body).toMatch(/^Month end, 3 steps: refund/)
})

test('a click opens the card by an opaque tag; an unknown tag opens nothing', () => {
  const { attention, notifier } = arrange()
  attention.pending([held('ap_1')])
  expect(attention.clicked('tag-1')).toBe('/queue/ap_1')
  expect(notifier.shown.size).toBe(0)
  expect(attention.clicked('ap_1')).toBeUndefined()
})

test('deny from a notification is sent after the time to undo', () => {
  const { attention, clock, denied, notifier } = arrange()
  attention.pending([held('ap_1')])
  attention.denied('tag-1')
  expect(notifier.shown.get('tag-1')).toMatchObject({ action: 'undo' })
  clock.move(undoTime - 1)
  expect(denied).toEqual([])
  clock.move(1)
  expect(denied).toEqual(['ap_1'])
})

test.each([
  ['a click', (attention: ReturnType<typeof arrange>['attention']) => attention.clicked('tag-1')],
  ['somebody else’s decision', (attention: ReturnType<typeof arrange>['attention']) => attention.pending([])],
])('%s undoes a deny that has not been sent', (_name, undo) => {
  const { attention, clock, denied } = arrange()
  attention.pending([held('ap_1')])
  attention.denied('tag-1')
  undo(attention)
  clock.move(10 * minute)
  expect(denied).toEqual([])
})

test('shows as much of the command as the person wants', () => {
  const approval = held('ap_1', {
    command: { ...someApproval().command, text: 'DELETE FROM payments\nWHERE secret = 1' },
  })
  expect(noticeOf(approval, 't', 'command').body).toBe('DELETE FROM payments … (2 lines)')
  const name = noticeOf(approval, 't', 'name')
  expect(`${name.title} ${name.body}`).toContain('billing-cleanup')
  expect(`${name.title} ${name.body}`).not.toContain('payments')
  const nothing = noticeOf(approval, 't', 'nothing')
  expect(`${nothing.title} ${nothing.body}`).not.toMatch(/payments|billing|orders/)
})

test('a command can’t rewrite its notification: no control, bidi or line character gets through', () => {
  expect(plainText('safe\u202Eetirw\u0000\u001b[2K', 100)).toBe('safe\uFFFDetirw\uFFFD\uFFFD[2K')
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), fc.integer({ min: 1, max: 200 }), (text, longest) => {
      const shown = plainText(text, longest)
      expect([...shown].length).toBeLessThanOrEqual(longest)
      expect(shown).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
    }),
    { numRuns: 300, seed: 7 },
  )
})

test.each([
  ['22:00', '07:00', '23:30', 7.5 * 60],
  ['22:00', '07:00', '06:59', 1],
  ['22:00', '07:00', '07:00', 0],
  ['09:00', '17:00', '12:00', 5 * 60],
  ['09:00', '17:00', '08:59', 0],
  ['09:00', '09:00', '09:00', 0],
  ['nonsense', '17:00', '12:00', 0],
])('quiet from %s to %s: at %s it lasts %d more minutes', (from, to, time, minutes) => {
  const [hour, minute_] = time.split(':').map(Number)
  const now = new Date(2026, 5, 10, hour, minute_).getTime()
  expect(quietFor({ from, to }, now)).toBe(minutes * minute)
})
