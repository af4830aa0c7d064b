import type { CallName } from '../../console-api.ts'
import type {
  BundleVerdict,
  SeenCheckpoint,
  Shown,
  Verification,
  WitnessAlarm,
  WitnessState,
} from '../../witness-api.ts'

/** What a double of the core has witnessed: the query of the dev page, for example ?witness=forked. */
export type WitnessWorld =
  | 'usual'
  | 'never'
  | 'checking'
  | 'no-ledger'
  | 'forbidden'
  | 'unproven'
  | 'forked'
  | 'hidden'
  | 'acknowledged'

const gateway = 'https://gw.prod.example'
const origin = 'gw.prod.example/ledger'
const vkey = `${origin}+9f2c41aa+AWdvZXMgdG8gc2hvdyBob3cgbG9uZyBhIGtleSBpcyBpbg==`
const second = `${origin}+1b44e07c+AQb7sYvYkq6V9zVhC1V3N2Q0b2hpbmcgaW4gaXQgYXQgYWxs`
const rootOf = (size: number) =>
  btoa(`root of a made-up log ${String(size).padStart(10, '0')}`)
    .slice(0, 43)
    .concat('=')
const noteOf = (size: number, root = rootOf(size)) =>
  `${origin}\n${size}\n${root}\n\n— ${origin} ${btoa(`signature over ${size}, which signs nothing at all, as this world is made up`)}\n`

export function witnessState(now: number, world: WitnessWorld): WitnessState {
  const at = (minutes: number) => new Date(now - minutes * 60_000).toISOString()
  const known = ['usual', 'unproven', 'forked', 'hidden', 'acknowledged'].includes(world)
  const times = Array.from({ length: 60 }, (_, i) => 60 * 24 * 18 * (1 - i / 59) ** 2 + 2)
  const sizes = times.map((_, i) => Math.round(12 + 48_199 * (i / 59) ** 1.7 + (i % 7) * 40))
  sizes[59] = 48_211
  const growth = times.map((minutes, i) => ({ at: at(minutes), size: sizes[i]! })).sort((a, b) => a.size - b.size)
  const checkpoints = growth
    .map(
      ({ at, size }, i): SeenCheckpoint => ({
        log: 1,
        origin,
        size,
        root: rootOf(size),
        seenAt: at,
        how: i === 31 ? 'handover' : i === 40 ? 'bundle' : i % 9 === 0 ? 'asked' : 'feed',
        from: i === 40 ? 'case-2209.tar' : gateway,
        signedBy: [i < 31 ? vkey.slice(0, 31) : second.slice(0, 31)],
        cosignedBy: i > 50 ? ['Aud Iversen (console.countersign/77aa01)', 'Ada Lind (console.countersign/41bc9e)'] : [],
        state: i === 58 ? 'pending' : 'proven',
      }),
    )
    .reverse()
  const side = (size: number, minutes: number, root?: string): Shown => ({
    note: noteOf(size, root),
    origin,
    size,
    root: root ?? rootOf(size),
    at: at(minutes),
    from: gateway,
    signedBy: [second.slice(0, 31)],
  })
  const alarm: WitnessAlarm = {
    id: 'al_41bc9e',
    kind: world === 'hidden' ? 'hidden' : 'forked',
    gateway,
    origin,
    foundAt: at(9),
    lastAt: at(1),
    text:
      world === 'hidden'
        ? 'it answers 404 where its log was: there is no such place'
        : 'its log of 48,305 entries does not begin with the 48,211 entries that were seen',
    known: side(48_211, 14),
    shown: world === 'hidden' ? null : side(48_305, 9, btoa('another root altogether 48,305!!')),
    key: vkey,
    proof: world === 'hidden' ? [] : Array.from({ length: 14 }, (_, i) => rootOf(i)),
    back: false,
    replaces: world !== 'hidden',
    acknowledged:
      world === 'acknowledged'
        ? {
            at: at(4),
            by: 'Ada Lind',
            reason: 'restored from the backup of 09:00 after the disk failed, ticket OPS-311',
          }
        : null,
  }
  const status: WitnessState['status'] =
    world === 'unproven'
      ? { state: 'unproven', since: at(12), problem: 'The gateway answered 503 Service Unavailable.' }
      : world === 'forbidden'
        ? { state: 'forbidden', problem: 'Your role may not see this.' }
        : world === 'forked' || world === 'hidden'
          ? { state: 'alarm' }
          : known
            ? { state: 'consistent', checkedAt: at(2) }
            : { state: world as 'never' | 'checking' | 'no-ledger' }
  return {
    gateway,
    status,
    log: known
      ? {
          id: 1,
          origin,
          since: growth[0]!.at,
          keys: [
            { vkey, how: 'first-contact', since: growth[0]!.at, handedOverAt: growth[31]!.size },
            { vkey: second, how: 'handover', since: growth[31]!.at, handedOverAt: null },
          ],
          size: 48_211,
          seen: 1204,
          pending: 1,
          growth,
        }
      : null,
    checkpoints: known ? checkpoints : [],
    alarms: ['forked', 'hidden', 'acknowledged'].includes(world) ? [alarm] : [],
    witnesses: known
      ? [
          { key: 'console.countersign/77aa01+aa+x', person: 'Aud Iversen', since: at(9000), size: 48_190, own: false },
          { key: 'console.countersign/41bc9e+bb+x', person: 'Ada Lind', since: at(4000), size: 48_211, own: true },
        ]
      : [],
    cosigning: {
      on: known,
      possible: true,
      key: known ? 'console.countersign/41bc9e+0badc0de+BAb7sYvYkq6V9zVhC1V3N2Q0b2hpbmcgaW4gaXQgYXQgYWxs' : null,
      last: known ? { size: 48_211, at: at(2) } : null,
      problem: null,
    },
    verifications: known ? verifications(at) : [],
    verdicts: known ? verdictsOf(at).map(({ id, name, at, outcome, why }) => ({ id, name, at, outcome, why })) : [],
  }
}

function verifications(at: (minutes: number) => string): Verification[] {
  const whole = 'Every byte is what the log gw.prod.example/ledger has, and nothing that was announced is missing.'
  return [
    { session: 'se_d001', outcome: 'whole', why: whole, at: at(30), verdict: 'bv_s1' },
    {
      session: 'se_d002',
      outcome: 'incomplete',
      why: 'What is there is genuine, but something is missing: session se_d002 had 12 commands, this bundle has 11 of them.',
      at: at(50),
      verdict: 'bv_incomplete',
    },
    { session: 'se_d003', outcome: 'broken', why: 'A chunk was changed.', at: at(70), verdict: 'bv_s3' },
  ]
}

function verdictsOf(at: (minutes: number) => string): BundleVerdict[] {
  const about = {
    origin,
    size: 48_190,
    madeAt: at(40),
    madeBy: 'Aud Iversen',
    sessions: ['se_d001'],
    campaign: null,
    entries: 61,
    erased: 0,
    policy: '7c1f02',
    people: [{ id: 'ada', name: 'Ada Lind' }],
    decisions: [
      { person: 'Ada Lind', verdict: 'approve' as const, reason: 'ticket FIN-2209, agreed with Noor', at: at(600) },
      { person: 'Ben Osei', verdict: 'deny' as const, reason: 'use the job', at: at(590) },
    ],
  }
  const parts = (states: Record<string, string> = {}) =>
    [
      ['manifest', '74 members, made at 2026-11-21T09:02:11Z'],
      ['checkpoint', `${origin}, 48190 entries`],
      ['policy', 'policy version 7c1f02'],
      ['entries', '61 audit entries'],
      ['decisions', '2 decisions by 2 people'],
      ['recording se_d001', '48211 bytes'],
    ].map(([part, text]) => ({ part: part!, text: text!, state: states[part!] ?? 'whole' }))
  const base = {
    bytes: 188_416,
    at: at(20),
    findings: [],
    counts: { integrity: 0, completeness: 0 },
    about,
    signedBy: [second.slice(0, 31)],
    cosignedBy: [],
  }
  return [
    {
      ...base,
      id: 'bv_whole',
      name: 'case-2209.tar',
      outcome: 'whole',
      why: `Every byte is what the log ${origin} has, and nothing that was announced is missing.`,
      trust: 'first-contact',
      parts: parts(),
    },
    {
      ...base,
      id: 'bv_broken',
      name: 'from-the-mail (3).tar',
      outcome: 'broken',
      why: 'This is not what was logged: recordings/se_d001.ndjson was changed from byte 16384: it is not what entry 48102 says. 1 more finding below.',
      trust: 'person',
      findings: [
        {
          about: 'integrity',
          code: 'chunk-hash',
          text: 'recordings/se_d001.ndjson was changed from byte 16384: it is not what entry 48102 says',
          place: 'recordings/se_d001.ndjson, entry 48102, byte 16384',
        },
        {
          about: 'integrity',
          code: 'member-hash',
          text: 'recordings/se_d001.ndjson was changed: its bytes have another SHA-256 than the manifest says',
          place: 'recordings/se_d001.ndjson',
        },
      ],
      counts: { integrity: 2, completeness: 0 },
      parts: parts({ 'recording se_d001': 'broken' }),
    },
    {
      ...base,
      id: 'bv_incomplete',
      name: 'session se_d002',
      outcome: 'incomplete',
      why: 'What is there is genuine, but something is missing. Session se_d002 had 12 commands, this bundle has 11 of them.',
      trust: 'person',
      findings: [
        {
          about: 'completeness',
          code: 'commands-missing',
          text: 'session se_d002 had 12 commands (entry 48110), this bundle has 11 of them',
          place: 'entry 48110, recording se_d002',
        },
      ],
      counts: { integrity: 0, completeness: 1 },
      parts: parts({ entries: 'incomplete' }),
    },
    {
      ...base,
      id: 'bv_unknown',
      name: 'other-company.tar',
      outcome: 'cant-tell',
      why: 'Nothing contradicts itself, but this desktop knows no key of the log gw.other.example/ledger. Get its key from somebody you trust, and pin it.',
      trust: 'none',
      signedBy: [],
      parts: parts(Object.fromEntries(parts().map(({ part }) => [part, 'cant-tell']))),
    },
  ]
}

/** The witness's calls, on that state. `tell` says what they change. */
export function witnessCallsOf(
  now: number,
  world: WitnessWorld,
  tell: (state: WitnessState) => void,
): Partial<Record<CallName, (input: never) => unknown>> {
  const at = (minutes: number) => new Date(now - minutes * 60_000).toISOString()
  let state = witnessState(now, world)
  let uploads = 0
  const change = (to: Partial<WitnessState>) => {
    state = { ...state, ...to }
    tell(state)
    return state
  }
  return {
    checkLog: () => state,
    witnessedCheckpoints: () => [],
    checkpointNote: (input: { size: number }) => ({ note: noteOf(input.size) }),
    pinKey: () =>
      change({
        log: state.log && { ...state.log, keys: state.log.keys.map((key) => ({ ...key, how: 'person' as const })) },
      }),
    acknowledgeAlarm: (input: { id: string; reason: string }) =>
      change({
        status: { state: 'consistent', checkedAt: at(0) },
        alarms: state.alarms.map((alarm) =>
          alarm.id === input.id
            ? { ...alarm, acknowledged: { at: at(0), by: 'Ada Lind', reason: input.reason } }
            : alarm,
        ),
      }),
    exportAlarm: () => ({ state: 'written', where: '/home/ada/log-forked.tar' }),
    setCosigning: (input: { on: boolean }) => change({ cosigning: { ...state.cosigning, on: input.on } }),
    openBundle: () => ({ upload: `up_${++uploads}` }),
    bundleSlice: () => ({}),
    closeBundle() {
      const [whole] = verdictsOf(at)
      const verdict = { ...whole!, id: `bv_${uploads}`, name: 'dropped.tar' }
      change({ verdicts: [verdict, ...state.verdicts] })
      return verdict
    },
    cancelBundle: () => ({}),
    bundleVerdict: (input: { id: string }) =>
      verdictsOf(at).find(({ id }) => id === input.id) ?? { ...verdictsOf(at)[0]!, id: input.id, name: 'dropped.tar' },
    verifySession: (input: { session: string }) => {
      const [whole] = verdictsOf(at)
      const found: Verification = {
        session: input.session,
        outcome: 'whole',
        why: whole!.why,
        at: at(0),
        verdict: 'bv_whole',
      }
      change({ verifications: [found, ...state.verifications.filter(({ session }) => session !== input.session)] })
      return whole
    },
    cancelVerification: () => ({}),
  }
}
