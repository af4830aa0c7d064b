import type { Annotation } from '@countersign/contract/evidence'
import type { NewRecordingEvent, RecordingLine } from '@countersign/contract/recording'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { someRecording, someSession } from '../testing/small-gateway.ts'
import { gathered, printed } from './gathered.ts'
import { html } from './html.ts'
import { clock, timelinePicture } from './picture.ts'
import { type ReportContent, report } from './report.ts'

const header = someRecording('se_1')[0]!

async function* linesOf(events: readonly (NewRecordingEvent & { t?: number })[]): AsyncGenerator<RecordingLine> {
  yield header
  for (const [i, event] of events.entries()) yield { seq: i + 1, t: i * 10, ...event } as RecordingLine
}

const command = (n: number, more: object = {}): NewRecordingEvent => ({
  type: 'command',
  command: `c${n}`,
  text: `SELECT ${n}`,
  parameters: [],
  kind: 'select',
  effects: [],
  digest: 'sha256:00',
  verdict: { outcome: 'allow', policies: ['p'] },
  ...more,
})
const result = (n: number, more: object = {}): NewRecordingEvent => ({
  type: 'result',
  command: `c${n}`,
  status: 'completed',
  ms: 1,
  ...more,
})
const note = (more: Partial<Annotation> = {}): Annotation => ({
  id: `an_${'a'.repeat(24)}`,
  session: 'se_1',
  by: { id: 'i#aud', issuer: 'i', subject: 'aud', name: 'Aud' },
  from: 0,
  text: 'look here',
  tags: [],
  madeAt: '2026-01-01T00:00:00.000Z',
  ...more,
})
const content = (events: readonly NewRecordingEvent[], more: Partial<ReportContent> = {}): ReportContent => ({
  session: someSession(),
  lines: linesOf(events),
  annotations: [],
  evidence: { outcome: 'not-verified', why: 'No bundle of it is here.' },
  by: 'Aud',
  at: '2026-11-21T10:00:00.000Z',
  ...more,
})

test('text from outside is text, wherever it stands, and what hides in it is shown', async () => {
  const evil = `</pre><script>alert(1)</script><img src=x onerror="x">&'\u202e\u0007`
  const page = await report(
    content([command(1, { text: evil, parameters: [evil] }), result(1, { status: 'failed', message: evil })], {
      session: { ...someSession(), purpose: evil, connectionTags: [evil], closedBecause: evil },
      annotations: [note({ text: evil, tags: [evil] })],
      evidence: { outcome: 'broken', why: evil, findings: [evil], keys: [evil] },
      by: evil,
    }),
  )
  expect(page).not.toMatch(/<script|<img|onerror="/)
  expect(page).not.toContain('\u202e')
  expect(page).not.toContain('\u0007')
  expect(page.match(/⟨U\+202E⟩⟨U\+0007⟩/g)!.length).toBeGreaterThanOrEqual(10)
})

test('no value gets out of where a template puts it', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 50 }), (text) => {
      const [, inside] = /^<p title="([^"<>]*)">$/.exec(html`<p title="${text}">`.html) ?? []
      expect(inside).toBeDefined()
      expect(inside).not.toMatch(/['\p{Bidi_Control}]/u)
    }),
    { seed: 7, numRuns: 300 },
  )
})

test.each([
  [{ outcome: 'whole', why: 'All of it.', keys: ['k+1+a'], bundleSha256: 'ab' }, 'Verified: whole'],
  [{ outcome: 'incomplete', why: '' }, 'Genuine, but incomplete'],
  [{ outcome: 'broken', why: '' }, 'Broken: this is not what was logged'],
  [{ outcome: 'cant-tell', why: '' }, 'Can’t tell'],
  [{ outcome: 'not-verified', why: '' }, 'Not verified'],
] as const)('says how far it can be believed: %j', async (evidence, says) => {
  const page = await report(content([command(1), result(1)], { evidence }))
  expect(page.match(/<\/span> ([^<]*)<\/h2>/)![1]!.replaceAll('&#8217;', '’')).toBe(says)
})

test('a held command says what a person decided, and one that never ran says so', async () => {
  const hold = (n: number, state: string, more: object = {}) =>
    ({ type: 'hold', command: `c${n}`, approval: `ap_${n}`, state, ...more }) as NewRecordingEvent
  const page = await report(
    content([
      hold(1, 'pending'),
      hold(1, 'approved', { by: ['Ada', 'Ben'], reason: 'month end' }),
      command(1, { verdict: { outcome: 'allow', policies: ['p'] } }),
      hold(1, 'used'),
      result(1, { tag: 'DELETE 3' }),
      hold(2, 'pending'),
      hold(2, 'denied', { by: ['Ada'], reason: 'no ticket' }),
    ]),
  )
  expect(page).toContain('Ada, Ben')
  expect(page).toContain('month end')
  expect(page).toContain('DELETE 3')
  expect(page).toContain('denied, never forwarded')
  expect(page).toContain('no ticket')
})

test('of a long recording the remarkable is printed, the rest is counted; memory doesn’t grow with results', async () => {
  const plain = printed.plain + 700
  const rows = { type: 'rows', columns: [{ name: 'a', type: 25 }], rows: [...Array(100)].map(() => ['x'.repeat(1000)]) }
  const many = (function* () {
    for (let n = 0; n < plain; n++) yield* [command(n), { ...rows, command: `c${n}` } as NewRecordingEvent, result(n)]
    yield command(plain, { verdict: { outcome: 'deny', policies: ['no'] } })
    yield result(plain, { status: 'refused' })
    yield command(plain + 1)
    yield result(plain + 1)
  })()
  const noted = { from: (3 * plain + 2) * 10 }
  const all = await gathered(linesOf([...many]), [noted])
  expect(all.left).toBe(700)
  expect(all.steps).toHaveLength(printed.plain + 2)
  expect(all.steps.at(-2)!.number).toBe(plain + 1)
  expect(all.tally).toMatchObject({ commands: plain + 2, denied: 1 })
  const kept = all.steps.flatMap(({ step }) => (step.kind === 'command' ? (step.rows?.rows ?? []) : []))
  expect(kept).toHaveLength(printed.plain * printed.rows)
  expect(all.steps[0]!.step).toMatchObject({ rows: { truncated: true } })
})

test('whatever happens in whatever order, every step is printed or counted', async () => {
  const event = fc.tuple(fc.constantFrom('command', 'hold', 'rows', 'result', 'note'), fc.nat(5)).map(
    ([type, n]) =>
      ({
        command: command(n),
        hold: { type: 'hold', command: `c${n}`, approval: `ap_${n}`, state: 'pending' } as const,
        rows: { type: 'rows', command: `c${n}`, columns: [], rows: [] } as const,
        result: result(n),
        note: { type: 'note', text: 'x' } as const,
      })[type] as NewRecordingEvent,
  )
  await fc.assert(
    fc.asyncProperty(fc.array(event, { maxLength: 40 }), async (events) => {
      const all = await gathered(linesOf(events), [])
      const numbers = all.steps.map(({ number }) => number)
      expect(numbers).toEqual([...numbers].sort((a, b) => a - b))
      expect(new Set(numbers).size).toBe(numbers.length)
      expect(await report(content(events))).toContain('</html>')
    }),
    { seed: 3, numRuns: 150 },
  )
})

test('the picture names everything in words too', () => {
  const { html: picture } = timelinePicture([0, 5, 9], [{ t: 5, kind: 'denied', label: 'x' }], 10)
  expect(picture).toContain('aria-label="Timeline: 3 commands, 1 denied"')
  expect(timelinePicture([], [], 0).html).not.toMatch(/NaN|Infinity/)
})

test.each([
  [0, false, '0:00'],
  [61_250, false, '1:01'],
  [61_250, true, '1:01.250'],
  [3_661_000, false, '1:01:01'],
])('clock %d', (ms, fine, says) => expect(clock(ms, fine)).toBe(says))

test('a note that is not in the log says so on paper', async () => {
  const events = [command(1), result(1)]
  const printed = (state?: 'here' | 'sent' | 'logged' | 'conflict') =>
    report(content(events, { annotations: [{ ...note(), ...(state && { state }) }] }))
  expect(await printed('here')).toContain('only on the computer that printed this')
  expect(await printed('conflict')).toContain('the gateway refused it')
  expect(await printed('sent')).toContain('not yet in the log')
  for (const state of ['logged', undefined] as const) expect(await printed(state)).not.toMatch(/not yet|only on the/)
})
