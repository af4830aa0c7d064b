import type { Approval, Effect } from '@countersign/contract/approval'
import type { AgentRef } from '@countersign/contract/identity'
import type { RecordingEvent, RecordingLine } from '@countersign/contract/recording'
import type { Session } from '@countersign/contract/session'
import type { Me } from '../app/store.ts'

/** A believable world for the dev page and the component tests. Nothing of it is ever in the product. */

const MINUTE = 60_000
const people = 'https://idp.example.com'
const machines = 'https://agents.example.com'

export const ada: Me = {
  kind: 'person',
  id: `${people}#ada`,
  issuer: people,
  subject: 'ada',
  name: 'Ada Lind',
  groups: ['oncall-dba', 'sre'],
  roles: ['approver'],
  expiresAt: '2099-01-01T00:00:00.000Z',
}

const agent = (name: string, more: Partial<AgentRef> = {}): AgentRef => ({
  id: `${machines}#${name}`,
  issuer: machines,
  subject: name,
  name,
  groups: ['ci-agents'],
  ...more,
})
const agents = {
  billing: agent('billing-cleanup', { owner: 'Mina Okafor', onBehalfOf: 'Noor Haddad' }),
  deploy: agent('deploy-bot', { owner: 'Platform' }),
  support: agent('support-copilot', { owner: 'Support', onBehalfOf: 'Teo Brandt' }),
  report: agent('report-builder', { owner: 'Finance' }),
  etl: agent('etl-nightly', { owner: 'Ada Lind' }),
}

const hex = (seed: number) =>
  Array.from({ length: 64 }, (_, i) => ((seed * 7919 + i * i * 31 + i * seed) % 16).toString(16)).join('')
const iso = (ms: number) => new Date(ms).toISOString()
const table = (name: string, action: string, kind: string, bounded = true): Effect => ({
  action,
  resource: { type: 'Table', id: `orders/public.${name}` },
  kind,
  bounded,
})

interface Held {
  id: string
  who: AgentRef
  text: string
  kind: string
  effects: Effect[]
  left: number
  parameters?: Approval['command']['parameters']
  purpose?: string
  policy?: string
  reason?: string
  tags?: string[]
  more?: Partial<Approval>
}

let seed = 1
function held(now: number, h: Held): Approval {
  seed += 1
  return {
    id: h.id,
    state: 'pending',
    connection: 'orders',
    connectionTags: h.tags ?? ['production'],
    protocol: 'postgres',
    agent: h.who.id,
    identity: h.who,
    session: `se_${h.id.slice(3)}`,
    ...(h.purpose ? { purpose: h.purpose } : {}),
    command: {
      text: h.text,
      parameters: h.parameters ?? [],
      kind: h.kind,
      effects: h.effects,
      digest: `sha256:${hex(seed)}`,
    },
    requirements: [
      {
        policy: h.policy ?? 'payments-need-a-person',
        reason: h.reason ?? 'Payments are changed under a second pair of eyes',
        groups: ['oncall-dba'],
        quorum: 1,
        approvedBy: [],
      },
    ],
    decisions: [],
    requestedAt: iso(now + h.left - 10 * MINUTE),
    expiresAt: iso(now + h.left),
    hold: 'wait',
    mayDecide: true,
    ...h.more,
  }
}

const ben = { person: 'Ben Osei', personId: `${people}#ben`, window: 'once' }

/** Several holds in every state, as they stand at `now`. */
export function believableApprovals(now: number): Approval[] {
  const earlier = (minutes: number) => iso(Math.max(new Date(now).setHours(0, 1, 0, 0), now - minutes * MINUTE))
  return [
    held(now, {
      id: 'ap_7h2k',
      who: agents.billing,
      text: "DELETE FROM payments\nWHERE  status = 'abandoned'\n  AND  created_at < $1",
      parameters: ['2026-08-01'],
      kind: 'delete',
      effects: [table('payments', 'sql:write', 'delete'), table('payments', 'sql:read', 'delete')],
      left: 131_000,
      purpose: 'monthly purge, ticket FIN-2209',
    }),
    held(now, {
      id: 'ap_3m9q',
      who: agents.etl,
      text: 'UPDATE customers SET segment = NULL -- refill\n',
      kind: 'update',
      effects: [table('customers', 'sql:write', 'update', false)],
      left: 400_000,
      policy: 'unbounded-update',
      reason: 'Changes every row',
      more: {
        requirements: [
          {
            policy: 'unbounded-update',
            reason: 'Changes every row',
            groups: ['oncall-dba', 'sre'],
            quorum: 2,
            approvedBy: ['Ben Osei'],
          },
        ],
        decisions: [{ ...ben, verdict: 'approve', reason: 'in the window', at: iso(now - 60_000) }],
      },
    }),
    held(now, {
      id: 'ap_5bid',
      who: agents.support,
      text: "SELECT name, email\u202e/* lairt */ FROM customers\u200b WHERE tier = E'go\\'ld' AND \"Note\" <> $$<b>bold</b>$$ AND pаyer = $2 LIMIT 10;",
      parameters: ['a', 'b\u202ec'],
      kind: 'select',
      effects: [table('customers', 'sql:read', 'select')],
      left: 482_000,
      purpose: 'Please approve quickly, <b>urgent</b>\u202e!',
      policy: 'customers-by-hand',
      reason: 'Personal data',
      tags: ['staging'],
    }),
    held(now, {
      id: 'ap_long',
      who: agents.deploy,
      text: Array.from(
        { length: 180 },
        (_, i) =>
          `INSERT INTO orders (id, customer, total, note) VALUES (${90_000 + i}, ${i * 37}, ${(i * 13.5).toFixed(2)}, 'row ${i}');`,
      ).join('\n'),
      kind: 'insert',
      effects: [
        table('orders', 'sql:write', 'insert'),
        {
          action: 'sql:call',
          resource: { type: 'Routine', id: 'orders/public.recount(integer)' },
          kind: 'select',
          bounded: true,
        },
      ],
      left: 560_000,
      purpose: 'backfill 412',
      policy: 'bulk-insert',
      reason: 'More than 100 statements at once',
      tags: ['production', 'pci'],
    }),
    held(now, {
      id: 'ap_own1',
      who: agents.etl,
      text: 'TRUNCATE staging_orders',
      kind: 'truncate',
      effects: [table('staging_orders', 'sql:write', 'truncate', false)],
      left: 300_000,
      more: { mayDecide: false, mayNotDecideBecause: 'You own the agent that asks: nobody decides their own request.' },
    }),
    held(now, {
      id: 'ap_quor',
      who: agents.billing,
      text: 'DELETE FROM invoices',
      kind: 'delete',
      effects: [table('invoices', 'sql:write', 'delete', false)],
      left: 340_000,
      more: {
        mayDecide: false,
        requirements: [
          {
            policy: 'unbounded-delete',
            reason: 'Deletes every row',
            groups: ['oncall-dba'],
            quorum: 2,
            approvedBy: ['Ada Lind'],
          },
        ],
        decisions: [
          {
            person: ada.name,
            personId: ada.id,
            verdict: 'approve',
            reason: 'agreed',
            window: 'once',
            at: iso(now - 40_000),
          },
        ],
      },
    }),
    held(now, {
      id: 'ap_d001',
      who: agents.report,
      text: "UPDATE customers SET tier = 'gold' WHERE id = 4411",
      kind: 'update',
      effects: [table('customers', 'sql:write', 'update')],
      left: -20 * MINUTE,
      more: {
        state: 'used',
        decisions: [
          { person: ada.name, personId: ada.id, verdict: 'approve', reason: '', window: 'once', at: earlier(27) },
        ],
        closedAt: earlier(27),
        outcome: { status: 'completed', tag: 'UPDATE 1', rows: 1, ms: 3.4 },
      },
    }),
    held(now, {
      id: 'ap_d002',
      who: agents.deploy,
      text: 'DROP TABLE tmp_import_0931',
      kind: 'drop',
      effects: [table('tmp_import_0931', 'sql:ddl', 'drop')],
      left: -40 * MINUTE,
      more: {
        state: 'denied',
        decisions: [{ ...ben, verdict: 'deny', reason: 'use the job', at: earlier(44) }],
        closedAt: earlier(44),
      },
    }),
    held(now, {
      id: 'ap_d003',
      who: agents.etl,
      text: 'ALTER TABLE orders ADD COLUMN legacy jsonb',
      kind: 'alter',
      effects: [table('orders', 'sql:ddl', 'alter')],
      left: -70 * MINUTE,
      more: { state: 'expired', closedAt: earlier(70) },
    }),
    held(now, {
      id: 'ap_d004',
      who: agents.support,
      text: 'UPDATE orders SET note = $1 WHERE id = $2',
      parameters: ['paid by phone', '88'],
      kind: 'update',
      effects: [table('orders', 'sql:write', 'update')],
      left: -80 * MINUTE,
      more: { state: 'cancelled', closedAt: earlier(80), closedBecause: 'the client went away' },
    }),
    held(now, {
      id: 'ap_d005',
      who: agents.report,
      text: 'INSERT INTO ledger SELECT * FROM payments',
      kind: 'insert',
      effects: [table('ledger', 'sql:write', 'insert')],
      left: -90 * MINUTE,
      more: {
        state: 'used',
        decisions: [{ ...ben, verdict: 'approve', reason: 'month end', at: earlier(90) }],
        closedAt: earlier(90),
        outcome: {
          status: 'failed',
          sqlstate: '23505',
          message: 'duplicate key value violates unique constraint "ledger_pkey"',
          ms: 18,
        },
      },
    }),
  ]
}

/** `count` pending approvals that this person may decide. */
export function manyApprovals(now: number, count: number): Approval[] {
  return Array.from({ length: count }, (_, i) =>
    held(now, {
      id: `ap_m${String(i).padStart(5, '0')}`,
      who: [agents.billing, agents.deploy, agents.support, agents.report, agents.etl][i % 5]!,
      text: `UPDATE orders SET status = 'packed' WHERE id = ${100_000 + i}`,
      kind: 'update',
      effects: [table('orders', 'sql:write', 'update')],
      left: 60_000 + i * 900,
      purpose: `wave ${i % 40}`,
    }),
  )
}

export function sessionOf(approval: Approval, openedAt: number): Session {
  return {
    id: approval.session,
    state: approval.state === 'pending' ? 'open' : 'closed',
    connection: approval.connection,
    connectionTags: approval.connectionTags,
    protocol: approval.protocol,
    mode: 'enforce',
    agent: approval.agent,
    identity: approval.identity,
    ...(approval.purpose ? { purpose: approval.purpose } : {}),
    client: { address: '10.20.0.14:51022', application: 'psql' },
    openedAt: iso(openedAt),
    ...(approval.state === 'pending'
      ? {}
      : { closedAt: iso(openedAt + 842_000), closedBecause: 'the client said goodbye' }),
    counts: { commands: 8, held: 2, denied: 1, errors: 1 },
    recording: { bytes: 48_211, complete: approval.state !== 'pending' },
  }
}

export function manySessions(now: number, count: number): Session[] {
  const base = believableApprovals(now)
  return Array.from({ length: count }, (_, i) => {
    const from = base[i % base.length]!
    const session = sessionOf(from, now - i * 11 * MINUTE)
    const state = (['open', 'closed', 'closed', 'terminated', 'interrupted'] as const)[i % 5]!
    return {
      ...session,
      id: `se_m${String(i).padStart(5, '0')}`,
      state,
      closedBecause: {
        open: '',
        closed: 'the client said goodbye',
        terminated: 'Ben Osei: wrong database',
        interrupted: 'the gateway restarted',
      }[state],
      ...(state === 'open' ? {} : { closedAt: iso(now - i * 11 * MINUTE + 360_000) }),
      counts: { commands: (i * 7) % 120, held: i % 3, denied: i % 4 === 0 ? 1 : 0, errors: i % 7 === 0 ? 2 : 0 },
    }
  })
}

/** A recording in which everything happens once; with `repeat`, as long as one likes. */
export function recordingOf(session: Session, approvals: readonly Approval[], repeat = 1): RecordingLine[] {
  const lines: RecordingLine[] = [
    {
      type: 'header',
      format: 'countersign-recording/1',
      session: session.id,
      connection: session.connection,
      protocol: session.protocol,
      mode: session.mode,
      agent: session.identity,
      client: session.client,
      startedAt: session.openedAt,
      resultBound: { rows: 200, bytes: 65_536 },
    },
  ]
  let seq = 0
  type Body = RecordingEvent extends infer E ? (E extends unknown ? Omit<E, 'seq' | 't'> : never) : never
  const add = (t: number, body: Body) => {
    seq += 1
    lines.push({ seq, t, ...body } as RecordingEvent)
  }
  const command = (
    t: number,
    id: string,
    text: string,
    more: {
      parameters?: Approval['command']['parameters']
      outcome?: 'allow' | 'deny' | 'hold'
      policies?: string[]
      reason?: string
      digest?: string
    } = {},
  ) =>
    add(t, {
      type: 'command',
      command: id,
      text,
      parameters: more.parameters ?? [],
      kind: text.split(/\s/)[0]!.toLowerCase(),
      effects: [],
      digest: more.digest ?? `sha256:${hex(t)}`,
      verdict: {
        outcome: more.outcome ?? 'allow',
        policies: more.policies ?? [],
        ...(more.reason ? { reason: more.reason } : {}),
      },
    })
  const done = (t: number, id: string, tag: string, rows: number | undefined, ms: number) =>
    add(t, { type: 'result', command: id, status: 'completed', tag, ...(rows === undefined ? {} : { rows }), ms })

  for (let round = 0; round < repeat; round += 1) {
    const at = round * 842_000
    const id = (n: number) => `c${round}-${n}`
    command(at + 4_000, id(1), "SELECT count(*) FROM payments WHERE status = 'abandoned'")
    add(at + 4_004, { type: 'rows', command: id(1), columns: [{ name: 'count', type: 20 }], rows: [['1204']] })
    done(at + 4_004, id(1), 'SELECT 1', 1, 4)
    command(
      at + 23_000,
      id(2),
      'SELECT id, payer_email, amount, note, created_at\nFROM payments WHERE status = $1\nORDER BY created_at LIMIT 200',
      { parameters: ['abandoned'] },
    )
    add(at + 23_031, {
      type: 'rows',
      command: id(2),
      columns: [
        { name: 'id', type: 20 },
        { name: 'payer_email', type: 25 },
        { name: 'amount', type: 1700 },
        { name: 'note', type: 25 },
        { name: 'created_at', type: 1184 },
      ],
      rows: Array.from({ length: 60 }, (_, i) => [
        String(8800 + i),
        '[redacted]',
        `${(i * 17.35).toFixed(2)}`,
        i % 4 === 0 ? null : `hook ${i} <script>\u202e`,
        '2026-07-14 08:22:10+00',
      ]),
      truncated: true,
    })
    done(at + 23_035, id(2), 'SELECT 200', 200, 12.4)
    command(at + 91_000, id(3), 'SELECT * FROM customers', {
      outcome: 'deny',
      policies: ['no-bulk-customers'],
      reason: 'Customers are read one at a time',
    })
    add(at + 91_001, {
      type: 'result',
      command: id(3),
      status: 'refused',
      sqlstate: '42501',
      message: 'denied by policy no-bulk-customers',
      ms: 0,
    })
    command(at + 240_000, id(4), 'BEGIN')
    done(at + 240_000.3, id(4), 'BEGIN', undefined, 0.3)
    command(at + 242_000, id(5), "UPDATE payments SET status = 'void' WHERE id = 8801", {
      outcome: 'hold',
      policies: ['payments-need-a-person'],
    })
    add(at + 242_001, { type: 'hold', command: id(5), approval: `ap_x${round}`, state: 'pending' })
    add(at + 314_000, {
      type: 'hold',
      command: id(5),
      approval: `ap_x${round}`,
      state: 'approved',
      by: ['Ben Osei'],
      reason: 'in the window',
    })
    add(at + 314_001, { type: 'hold', command: id(5), approval: `ap_x${round}`, state: 'used' })
    done(at + 314_004, id(5), 'UPDATE 1', 1, 2.9)
    command(at + 349_000, id(6), 'INSERT INTO payments (id) VALUES (8801)')
    add(at + 349_002, {
      type: 'result',
      command: id(6),
      status: 'failed',
      sqlstate: '23505',
      message: 'duplicate key value violates unique constraint "payments_pkey"',
      ms: 1.8,
    })
    command(at + 352_000, id(7), 'ROLLBACK')
    done(at + 352_000.2, id(7), 'ROLLBACK', undefined, 0.2)
    add(at + 500_000, { type: 'note', text: 'the client asked to cancel the running command' })
  }
  const own = approvals.find((approval) => approval.session === session.id && approval.state === 'pending')
  if (own) {
    const last = lines.at(-1)
    const t = (last && 't' in last ? last.t : 0) + 20_000
    command(t, 'held', own.command.text, {
      parameters: own.command.parameters,
      outcome: 'hold',
      policies: own.requirements.map((need) => need.policy),
      digest: own.command.digest,
    })
    add(t + 1, { type: 'hold', command: 'held', approval: own.id, state: 'pending' })
  } else if (session.state !== 'open') {
    add(repeat * 842_000, { type: 'end', state: session.state, reason: session.closedBecause ?? '' })
  }
  return lines
}
