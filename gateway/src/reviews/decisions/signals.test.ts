import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type MadeDecision, signalsOf } from './signals.ts'

const rae = { id: 'p#rae', issuer: 'p', subject: 'rae', name: 'Rae' }
const start = Date.parse('2026-11-02T09:00:00.000Z')
const time = (seconds: number) => new Date(start + seconds * 1000).toISOString()

/** So many decisions, each so long after the one before; `of` changes the one that it is given. */
function made(count: number, apart: number, of: (n: number) => Partial<MadeDecision> = () => ({})): MadeDecision[] {
  return Array.from({ length: count }, (_, n) => ({
    ...{ item: `it_${n}`, stage: 0, verdict: 'certify' as const, by: rae, at: time(n * apart), madeAt: undefined },
    ...{ bulk: undefined, seconds: undefined, evidenceOpened: ['use'], followed: true },
    ...of(n),
  }))
}
const about = (decisions: MadeDecision[]) => signalsOf(decisions, [], { from: time(0), to: time(0) }).reviewers[0]!
const flags = (decisions: MadeDecision[]) => about(decisions).flags.map(({ code }) => code)

describe('flags', () => {
  it.each<[what: string, decisions: MadeDecision[], codes: string[]]>([
    ['slow and careful', made(50, 60), []],
    ['fast', made(11, 2), ['fast']],
    ['fast, but only nine times', made(9, 2), []],
    ['just not fast', made(50, 5), []],
    ['fast, and the console says slow', made(50, 2, () => ({ seconds: 600 })), ['fast']],
    ['slow, and the console says fast', made(50, 600, () => ({ seconds: 1 })), ['fast']],
    ['made offline and sent together', made(50, 0.01, (n) => ({ madeAt: time(n * 90) })), []],
    ['made offline in haste', made(50, 0.01, (n) => ({ madeAt: time(n * 2) })), ['fast']],
    ['with long pauses', made(50, 7200, () => ({ seconds: 40 })), []],
    ['all certified, as recommended', made(50, 60), []],
    ['all certified, against three', made(50, 60, (n) => ({ followed: n > 2 })), ['always-certifies']],
    ['all certified, against two', made(50, 60, (n) => ({ followed: n > 1 })), []],
    ['nearly all', made(50, 60, (n) => (n < 3 ? { verdict: 'revoke' } : { followed: n > 9 })), []],
    ['without a look', made(10, 60, () => ({ evidenceOpened: [] })), ['no-evidence']],
    ['half without a look', made(10, 60, (n) => ({ evidenceOpened: n % 2 ? [] : ['use'] })), []],
    ['in bulk', made(10, 0, () => ({ bulk: 'bu_1' })), ['mostly-bulk']],
    ['half in bulk', made(10, 60, (n) => (n % 2 ? { bulk: 'bu_1' } : {})), []],
  ])('%s', (_what, decisions, codes) => {
    expect(flags(decisions)).toEqual(codes)
  })

  it('are said in words, with numbers', () => {
    const hasty = made(30, 1.5, (n) => ({ followed: n > 5, evidenceOpened: [] }))
    expect(about(hasty).flags.map(({ text }) => text)).toEqual([
      'Half of 29 decisions took less than 1.5 seconds each.',
      'Certified 30 of 30, 6 of them where something else was recommended.',
      'Decided 30 of 30 without opening any of the evidence.',
    ])
  })
})

it('counts what somebody thought better of once, by the last', () => {
  const [first] = made(1, 0)
  const again = { ...first!, verdict: 'revoke' as const, at: time(60), followed: false, evidenceOpened: [] }
  expect(about([first!, again])).toMatchObject({ decided: 1, certified: 0, followed: 0, withoutEvidence: 1 })
  expect(about([first!, { ...again, stage: 1 }])).toMatchObject({ decided: 2, certified: 1 })
})

it('tells nothing of what nobody decided', () => {
  expect(
    signalsOf(
      made(5, 60, () => ({ by: undefined })),
      [],
      { from: time(0), to: time(0) },
    ).reviewers,
  ).toEqual([])
})

it('who decides faster never looks slower, whatever a console says', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          gap: fc.integer({ min: 1, max: 1000 }),
          seconds: fc.option(fc.integer({ min: 0, max: 1000 }), { nil: undefined }),
        }),
        { minLength: 2, maxLength: 40 },
      ),
      (steps) => {
        let at = 0
        const decisions = steps.flatMap(({ gap, seconds }, n) => {
          at += gap
          return made(1, 0, () => ({ item: `it_${n}`, at: time(at), seconds }))
        })
        const gaps = steps
          .slice(1)
          .map(({ gap }) => gap)
          .sort((a, b) => a - b)
        const { medianSeconds } = about(decisions)
        // The first one has no gap before it: what the console says of it alone counts.
        const longest = Math.max(gaps.at(-1)!, steps[0]!.seconds ?? 0)
        expect(medianSeconds).toBeLessThanOrEqual(longest)
      },
    ),
    { seed: 6, numRuns: 200 },
  )
})

describe('burn-down', () => {
  const days = { from: '2026-10-30T15:00:00.000Z', to: '2026-11-02T08:00:00.000Z' }
  const item = (decidedAt?: string) => ({ id: String(decidedAt), decidedAt })

  it('says for each day how many were open at its end', () => {
    const items = [
      item('2026-10-30T23:59:59.999Z'),
      item('2026-11-01T00:00:00.000Z'),
      item('2026-11-01T10:00:00.000Z'),
      item(),
    ]
    expect(signalsOf([], items, days).burnDown).toEqual([
      { day: '2026-10-30', open: 3 },
      { day: '2026-10-31', open: 3 },
      { day: '2026-11-01', open: 1 },
      { day: '2026-11-02', open: 1 },
    ])
  })

  it('ends in time, and never rises', () => {
    const long = signalsOf([], [item('2027-05-01T00:00:00.000Z'), item()], {
      from: days.from,
      to: '2099-01-01T00:00:00.000Z',
    })
    expect(long.burnDown).toHaveLength(800)
    for (const [n, { open }] of long.burnDown.entries())
      if (n > 0) expect(open).toBeLessThanOrEqual(long.burnDown[n - 1]!.open)
  })
})
