import type {
  Backtest,
  BacktestChange,
  PolicyCheck,
  PolicyDraft,
  PolicyText,
  PolicyVersion,
} from '@countersign/contract/policies'
import { Overlay, type OverlayPage, type Probe } from '@countersign/contract/review'
import { type CallName, ConsoleError, type ConsoleEvent } from '../../console-api.ts'
import type { DraftWork, PolicyPart, PolicyView } from '../../policy-api.ts'
import type { Me } from '../app/store.ts'

/** Who looks at policy in a double of the core, and what there is of it. */
export type PolicyKind =
  | 'admin'
  | 'reviewer'
  | 'auditor'
  | 'approver'
  | 'many'
  | 'empty'
  | 'refusing'
  | 'failing'
  | 'none'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const machines = 'https://agents.example.com'
const people = 'https://idp.example.com'
const iso = (ms: number) => new Date(ms).toISOString()
const ref = (subject: string, name: string) => ({ id: `${people}#${subject}`, issuer: people, subject, name })
const rae = ref('rae', 'Rae Holm')
const max = ref('admin', 'Max Novak')
const builder = `${machines}#report-builder`
const version = (n: number) => `sha256:${n.toString(16).padStart(2, '0').repeat(32)}`

const holds = `// What a person looks at first.

@id("payments-need-a-person")
@hold("oncall-dba")
@reason("Payments are the books: a person looks before they change")
forbid (
  principal,
  action == Action::"sql:write",
  resource == Table::"orders/public.payments"
)
unless { context has approval };

@id("every-row")
@hold("oncall-dba")
@quorum("2")
@escalate("3m: sre-leads, 6m: duty-managers")
@reason("Reaches every row: two people look")
forbid (
  principal,
  action == Action::"sql:write",
  resource in Connection::"orders"
)
when { !context.command.bounded }
unless { context has approval };
`
const orders = `// What agents may do on the shop's database. What no permit covers is denied.

@id("agents-read-the-shop")
permit (
  principal in Group::"shop-agents",
  action in [Action::"sql:connect", Action::"sql:read"],
  resource in Connection::"orders"
);

@id("maintenance-writes")
permit (
  principal in Group::"maintenance-agents",
  action in [Action::"sql:write", Action::"sql:ddl"],
  resource in Connection::"orders"
);

@id("keys-stay-internal")
@reason("API keys are never an agent's business")
forbid (
  principal,
  action in Action::"sql",
  resource == Table::"orders/internal.api_keys"
);
`
const overlayText = `@reason("Review Q4: not used in 90 days")
forbid (
  principal == Agent::"${builder}",
  action,
  resource in Connection::"orders"
)
unless {
  action in [Action::"sql:connect", Action::"sql:read"] &&
  resource in [Connection::"orders", Table::"orders/public.orders", Table::"orders/public.customers"]
};
`
const tests = `# What must stay true.
agents:
  billing-cleanup: { groups: [maintenance-agents] }
tests:
  - name: nobody deletes every payment unasked
    agent: billing-cleanup
    connection: orders
    does: "sql:write orders/public.payments delete, every row"
    expect: hold
`

const before: PolicyText[] = [
  { file: 'holds.cedar', text: holds.replace('@quorum("2")\n', '') },
  { file: 'orders.cedar', text: orders.replace(/\n@id\("keys[\s\S]*$/, '') },
]
const folder: PolicyText[] = [
  { file: 'holds.cedar', text: holds },
  { file: 'orders.cedar', text: orders },
]
const testFiles: PolicyText[] = [{ file: 'orders.test.yaml', text: tests }]
const inForce: PolicyText[] = [...folder, { file: 'overlay:ov_3.cedar', text: overlayText }]

const fine: PolicyCheck = {
  ok: true,
  version: version(40),
  problems: [],
  warnings: [],
  tests: [
    {
      ...{ file: 'orders.test.yaml', line: 5, name: 'nobody deletes every payment unasked', ok: true },
      ...{ expected: 'hold', got: 'hold', policies: ['every-row'] },
    },
  ],
}

/** What the double's validator says: lines with WRONG are problems, with ODD warnings; a test fails beside MORE. */
export function checkOf(files: readonly PolicyText[]): PolicyCheck {
  const found = (word: string, message: string) =>
    files.flatMap(({ file, text }) =>
      text
        .split('\n')
        .flatMap((line, i) =>
          line.includes(word) ? [{ file, line: i + 1, message, mend: 'Mend it and save again.' }] : [],
        ),
    )
  const problems = found('WRONG', 'unexpected token `WRONG`')
  const ok = !files.some(({ text }) => text.includes('MORE'))
  return {
    ...{ ok: problems.length === 0, problems, warnings: found('ODD', 'this policy can never be true') },
    tests: files.some(({ file }) => file.endsWith('.test.yaml'))
      ? fine.tests.map((test) => ({ ...test, ok, got: ok ? 'hold' : 'allow' }))
      : [],
  }
}

export function believableOverlays(now: number, me: Me): OverlayPage[] {
  const ada = { id: me.id, issuer: me.issuer, subject: me.subject, name: me.name }
  const may = (action: string, resource: string, verdict: 'allow' | 'hold' | 'deny' | 'depends') => ({
    ...{ connection: 'orders', action, resource, verdict },
    policies: verdict === 'deny' ? [] : ['agents-read-the-shop'],
  })
  const tables = ['orders', 'customers', 'payments', 'invoices', 'products', 'refunds'].map((t) => `orders/public.${t}`)
  const beforeIt = tables.flatMap((table) => [
    may('sql:read', table, 'allow'),
    may('sql:write', table, table.endsWith('payments') ? 'hold' : 'depends'),
  ])
  const afterIt = beforeIt.map((one) =>
    one.action === 'sql:read' && /orders$|customers$/.test(one.resource) ? one : { ...one, verdict: 'deny' as const },
  )
  const probe = (action: string, resource: string, expect: Probe['expect'], got: string, kind = 'select'): Probe => ({
    ...{ action, resource, kind, bounded: kind !== 'delete', expect, before: 'allow', got },
    ok: expect === 'deny' ? got === 'deny' : got === 'allow',
  })
  const one = (number: number, days: number, more: Partial<OverlayPage>): OverlayPage => ({
    ...{ id: `ov_${number}`, number, state: 'proposed', kind: 'reduce', title: 'report-builder: only what it reads' },
    ...{ agent: builder, connection: 'orders', campaign: 'ca_q4', item: 'it_1', decision: 'de_1' },
    policy: overlayText,
    digest: number.toString(16).padStart(64, 'd'),
    proposed: { by: rae, at: iso(now - days * DAY), reason: 'Finance confirmed that payments moved to the new report' },
    probes: [],
    before: beforeIt,
    after: afterIt,
    notes: ['What a policy makes depend on the purpose or the hour is told as “it depends”.'],
    ...more,
  })
  const said = (by: typeof rae, days: number, reason: string) => ({ by, at: iso(now - days * DAY), reason })
  return [
    one(7, 0.1, {
      ...{ state: 'failed', title: 'support-copilot: no more exports', agent: `${machines}#support-copilot` },
      ...{ inForce: false, failedBecause: 'customers could still be copied, so it was taken out again' },
      approved: said(max, 0.05, 'as the review says'),
      probes: [
        probe('sql:read', 'orders/public.orders', 'as-before', 'allow'),
        probe('sql:read', 'orders/public.customers', 'deny', 'allow', 'copy'),
        probe('sql:write', 'orders/public.customers', 'deny', 'deny', 'delete'),
      ],
    }),
    one(6, 0.2, {}),
    one(5, 1, {
      ...{ title: 'old-importer: no access to warehouse', kind: 'revoke', agent: `${machines}#old-importer` },
      ...{ connection: 'warehouse', policy: overlayText.replaceAll('orders', 'warehouse') },
      proposed: { by: ada, at: iso(now - DAY), reason: 'never used, its sponsor left in June' },
      before: [{ ...may('sql:read', 'warehouse', 'allow'), connection: 'warehouse' }],
      after: [{ ...may('sql:read', 'warehouse', 'deny'), connection: 'warehouse' }],
    }),
    one(4, 3, {
      ...{ state: 'verified', inForce: true, title: 'etl-nightly: no DDL', agent: `${machines}#etl-nightly` },
      approved: said(max, 2.9, ''),
      rollBack: said(max, 0.3, 'the nightly build needs a table again'),
      probes: [probe('sql:ddl', 'orders/public.orders', 'deny', 'deny', 'create')],
    }),
    one(3, 6, {
      ...{ state: 'verified', inForce: true, title: 'report-builder: only what it reads', version: version(33) },
      approved: said(max, 5.9, 'looked at the matrix with Rae'),
      appliedAt: iso(now - 5.9 * DAY),
      probes: [
        ...tables.map((table) =>
          probe(
            'sql:read',
            table,
            /orders$|customers$/.test(table) ? 'as-before' : 'deny',
            /orders$|customers$/.test(table) ? 'allow' : 'deny',
          ),
        ),
        probe('sql:write', 'orders/public.payments', 'deny', 'deny', 'delete'),
      ],
    }),
    one(2, 40, { state: 'rejected', title: 'deploy-bot: nothing', kind: 'revoke', rejected: said(max, 39, 'in use') }),
    one(1, 90, {
      ...{ state: 'rolled-back', inForce: false, title: 'planner: reads only' },
      approved: said(max, 89, ''),
      rollBack: said(max, 80, 'it plans writes, too'),
      rolledBack: said(rae, 80, 'seen'),
    }),
  ]
}

/** What a draft would have changed. */
export function believableResult(now: number): NonNullable<Backtest['result']> {
  const change = (
    kind: BacktestChange['change'],
    agentName: string,
    shape: string,
    commands: number,
    policies: string[],
    text: string,
  ): BacktestChange => {
    const was = kind === 'newly-allowed' ? 'hold' : 'allow'
    const is = { 'newly-denied': 'deny', 'newly-held': 'hold', 'newly-allowed': 'allow' } as const
    return {
      ...{
        change: kind,
        agent: `${machines}#${agentName}`,
        agentName,
        connection: 'orders',
        shape,
        commands,
        policies,
      },
      effects: [],
      was: { allow: 0, hold: 0, deny: 0, [was]: commands },
      reason: kind === 'newly-held' ? 'Reaches every row: two people look' : '',
      firstAt: iso(now - 29 * DAY),
      lastAt: iso(now - 2 * HOUR),
      samples: [1, 2].map((i) => ({
        ...{ session: `se_d00${i}`, command: `c${i}`, at: iso(now - i * 7 * HOUR), text, was, now: is[kind] },
      })),
    }
  }
  const changes = [
    change('newly-denied', 'report-builder', 'select public.payments', 1204, [], 'SELECT sum(amount) FROM payments'),
    change('newly-denied', 'report-builder', 'select public.invoices', 318, ['no-invoices'], 'SELECT * FROM invoices'),
    change(
      'newly-held',
      'billing-cleanup',
      'delete public.payments, every row',
      12,
      ['every-row'],
      'DELETE FROM payments',
    ),
    change('newly-held', 'etl-nightly', 'update public.customers', 88, ['every-row'], 'UPDATE customers SET tier = 1'),
    change(
      'newly-allowed',
      'support-copilot',
      'update public.customers',
      41,
      ['support'],
      'UPDATE customers SET a = 1',
    ),
  ]
  return {
    ...{ from: iso(now - 30 * DAY), until: iso(now), commands: 1_000_000, unreadable: 1892 },
    same: { allow: 981_204, hold: 4021, deny: 11_220 },
    ...{ newlyDenied: 1522, newlyHeld: 100, newlyAllowed: 41, changes, left: 3, seconds: 143.2 },
    notes: ['Masking is not part of a backtest: what was masked counts as allowed.'],
  }
}

/** The calls about policy, on a world that a test can move. */
export function policyDouble(options: {
  kind: PolicyKind
  me: Me
  now: number
  offline: boolean
  emit(event: ConsoleEvent): void
}) {
  const { kind, now, offline, emit } = options
  const role = { admin: 'admin', many: 'admin', empty: 'admin', refusing: 'admin', failing: 'admin' }[kind as string]
  const own = role ?? (kind === 'reviewer' || kind === 'auditor' ? kind : undefined)
  const me: Me =
    own === undefined || options.me.kind === 'agent'
      ? options.me
      : { ...options.me, roles: [...new Set([...options.me.roles, own as 'admin'])] }
  const ada = { id: me.id, issuer: me.issuer, subject: me.subject, name: me.name }
  const empty = kind === 'empty' || kind === 'none'
  const may = own !== undefined
  const overlays = new Map(
    (empty || !may ? [] : believableOverlays(now, me))
      .filter(({ state }) => kind === 'failing' || state !== 'failed' || kind === 'admin')
      .map((one) => [one.id, one] as const),
  )
  const many: PolicyText[] = Array.from({ length: 100 }, (_, i) => ({
    file: `team-${String(i).padStart(3, '0')}.cedar`,
    text: Array.from({ length: 20 }, (_, j) => orders.replaceAll('@id("', `@id("t${i}-${j}-`)).join('\n'),
  }))
  const texts = kind === 'many' ? [...many, ...inForce] : inForce
  const by = (name: string) => ({
    kind: name === '' ? ('gateway' as const) : ('person' as const),
    name: name || 'gateway',
  })
  let versions: PolicyVersion[] = (
    [
      [
        33,
        5.9,
        'Max Novak',
        'overlay 3 was applied: report-builder: only what it reads',
        'overlay:ov_3.cedar',
        'added',
      ],
      [32, 20, '', 'SIGHUP: the policy folder was loaded', 'orders.cedar', 'changed'],
      [31, 48, '', 'the gateway started', 'holds.cedar', 'changed'],
    ] as const
  ).map(([n, days, name, reason, file, what], i) => ({
    ...{ version: version(n), from: iso(now - days * DAY), by: by(name), reason },
    ...(i > 0 && { until: iso(now - [0, 5.9, 20][i]! * DAY) }),
    files: ['holds.cedar', 'orders.cedar', 'orders.test.yaml'],
    changed: n === 31 ? [] : [{ file, what }],
  }))
  if (kind === 'many')
    versions = Array.from({ length: 500 }, (_, i) => ({
      ...versions[0]!,
      ...{ version: version(i % 200), from: iso(now - i * HOUR * 7), reason: `change ${500 - i} of the folder` },
      ...(i > 0 && { until: iso(now - (i - 1) * HOUR * 7) }),
    }))
  const textsOf = new Map([
    [version(33), texts],
    [version(32), folder],
    [version(31), before],
  ])
  const works = new Map<string, DraftWork>()
  const drafts = new Map<string, PolicyDraft>()
  const draft = (id: string, title: string, hours: number, files: PolicyText[]): PolicyDraft => ({
    ...{ id, title, base: version(33), files, by: rae, at: iso(now - DAY), changedBy: rae },
    ...{ changedAt: iso(now - hours * HOUR), revision: 3, check: checkOf(files) },
  })
  const tighter = [...folder, ...testFiles].map((one) =>
    one.file === 'orders.cedar'
      ? { ...one, text: one.text.replace('Action::"sql:write", Action::"sql:ddl"', 'Action::"sql:write"') }
      : one,
  )
  if (!empty && may) {
    drafts.set('dr_1', draft('dr_1', 'Maintenance without DDL', 2, tighter))
    const broken = tighter.map((one) =>
      one.file === 'holds.cedar' ? { ...one, text: `${one.text}\nforbid (WRONG\n// ODD\n// MORE\n` } : one,
    )
    drafts.set('dr_2', draft('dr_2', 'Two people for every row', 30, broken))
  }
  const backtests = new Map<string, Backtest>()
  const run = (id: string, hours: number, more: Partial<Backtest>): Backtest => ({
    ...{ id, state: 'done', by: rae, at: iso(now - hours * HOUR), title: 'Maintenance without DDL' },
    ...{ version: version(40), against: 'recorded', since: iso(now - 30 * DAY), until: iso(now - hours * HOUR) },
    progress: { commands: 1_000_000, of: 1_000_000 },
    ...more,
  })
  if (!empty && may)
    for (const one of [
      run('bt_3', 0.01, { state: 'running', progress: { commands: 412_000, of: 1_000_000 } }),
      run('bt_2', 3, {
        result: believableResult(now),
        check: {
          warnings: [
            { file: 'orders.cedar', line: 12, message: 'this policy can never be true', mend: 'Look at its scope.' },
          ],
        },
      }),
      run('bt_1', 50, {
        title: 'The same again',
        result: {
          ...believableResult(now),
          newlyDenied: 0,
          newlyHeld: 0,
          newlyAllowed: 0,
          changes: [],
          left: 0,
          unreadable: 0,
          notes: [],
        },
      }),
      run('bt_0', 90, {
        state: 'failed',
        problem: 'The gateway was restarted while it ran.',
        progress: { commands: 90_000 },
      }),
    ])
      backtests.set(one.id, one)

  const at = iso(offline ? now - 29 * MINUTE : now)
  const forbidden = (part: PolicyPart) => !may && part !== 'in-force' && part !== 'versions'
  const headOf = ({ files, check, ...rest }: PolicyDraft) => ({
    ...rest,
    ok: check.ok && check.tests.every(({ ok }) => ok),
    files: files.map(({ file }) => file),
  })
  const view = (): PolicyView => ({
    inForce:
      kind === 'none' ? null : { version: version(33), texts: empty ? [] : texts, tests: empty ? [] : testFiles },
    versions: empty ? [] : versions,
    moreVersions: kind === 'many',
    drafts: [...drafts.values()].map(headOf),
    works: [...works.values()].map(({ files: _, ...work }) => work),
    backtests: [...backtests.values()].map(({ result: _, ...head }) => head),
    overlays: [...overlays.values()].map((page) => Overlay.parse(page)),
    parts: Object.fromEntries(
      (['in-force', 'versions', 'drafts', 'backtests', 'overlays'] as const).map((part) => [
        part,
        forbidden(part) ? { at: null, refused: 'forbidden' } : { at },
      ]),
    ) as PolicyView['parts'],
    loading: false,
  })
  const tell = () => emit({ type: 'policy', changed: view() })
  const asked = () => {
    if (offline)
      throw new ConsoleError('not-connected', 'There is no connection to the gateway. Try again once it is live.')
    if (kind === 'refusing')
      throw new ConsoleError('refused', 'The gateway could not write its ledger: nothing was done.')
  }
  const source = offline ? 'local' : 'gateway'
  let made = 0

  const answers = {
    policy: () => view(),
    policyVersion: ({ version: wanted }: { version: string }) => ({ texts: textsOf.get(wanted) ?? null, source }),
    policyDraft: ({ id }: { id: string }) => ({ draft: drafts.get(id) ?? null, work: works.get(id) ?? null, source }),
    keepDraftWork(work: DraftWork) {
      works.set(work.id, work)
      tell()
      return {}
    },
    dropDraftWork({ id }: { id: string }) {
      works.delete(id)
      tell()
      return {}
    },
    saveDraft({ work, over }: { work: DraftWork; over?: number }) {
      asked()
      const known = drafts.get(work.id)
      const revision = over ?? work.revision
      if (known && known.revision !== revision) return { state: 'conflict', draft: known }
      made += 1
      const saved: PolicyDraft = {
        ...{ id: known?.id ?? `dr_new${made}`, title: work.title, base: work.base, files: work.files },
        ...{ by: known?.by ?? ada, at: known?.at ?? iso(Date.now()), changedBy: ada, changedAt: iso(Date.now()) },
        ...{ revision: (known?.revision ?? 0) + 1, check: checkOf(work.files) },
      }
      drafts.set(saved.id, saved)
      works.delete(work.id)
      tell()
      return { state: 'saved', draft: saved }
    },
    deleteDraft({ id }: { id: string }) {
      asked()
      drafts.delete(id)
      works.delete(id)
      tell()
      return {}
    },
    checkPolicy({ files }: { files: PolicyText[] }) {
      asked()
      return checkOf(files)
    },
    startBacktest({ draft: id, against }: { draft?: string; against?: 'recorded' | 'in-force' }) {
      asked()
      made += 1
      const one = run(`bt_new${made}`, 0, {
        ...{ state: 'running', by: ada, title: drafts.get(id ?? '')?.title ?? 'Files', against: against ?? 'recorded' },
        progress: { commands: 0 },
      })
      backtests.set(one.id, one)
      tell()
      return one
    },
    backtest: ({ id }: { id: string }) => ({ backtest: backtests.get(id) ?? null, source }),
    cancelBacktest({ id }: { id: string }) {
      asked()
      const { result: _, ...one } = { ...backtests.get(id)!, state: 'cancelled' as const }
      backtests.set(id, one)
      tell()
      return one
    },
    overlay: ({ id }: { id: string }) => ({ overlay: overlays.get(id) ?? null, source }),
    answerOverlay({ id, does, reason }: { id: string; does: string; reason: string }) {
      asked()
      const page = overlays.get(id)!
      const said = { by: ada, at: iso(Date.now()), reason }
      const change: Partial<OverlayPage> =
        does === 'apply'
          ? { state: 'verified', inForce: true, approved: said }
          : does === 'reject'
            ? { state: 'rejected', rejected: said }
            : page.rollBack
              ? { state: 'rolled-back', inForce: false, rolledBack: said }
              : { rollBack: said }
      overlays.set(id, { ...page, ...change })
      tell()
      return Overlay.parse({ ...page, ...change })
    },
    overlayEdits() {
      asked()
      return {
        overlays: ['ov_3'],
        files: [{ file: 'reviews.cedar', text: overlayText }],
        patch: 'diff --git a/reviews.cedar b/reviews.cedar\n',
        redundant: ['ov_4'],
        notes: ['Once these are in the folder and loaded, overlay 3 can be retired.'],
      }
    },
    savePolicyFiles: ({ name }: { name: string }) => ({ state: 'written', where: `/home/ada/${name}` }),
  } satisfies Partial<Record<CallName, (input: never) => unknown>>
  return {
    me,
    answers,
    drafts,
    works,
    backtests,
    overlays,
    tell,
  }
}
