import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AgentRecord } from '@countersign/contract/access'
import { putConfigured } from '../gateway/src/access/connections.ts'
import { listGrants } from '../gateway/src/grants/list.ts'
import { accessThen } from '../gateway/src/identity/registry/access/access-then.ts'
import { openRegistry } from '../gateway/src/identity/registry/registry.ts'
import { readPolicyTexts } from '../gateway/src/policy/load.ts'
import { createPermittedSets } from '../gateway/src/policy/permitted/reading.ts'
import { putInForce } from '../gateway/src/policy/versions.ts'
import { openStore, type Store } from '../gateway/src/store/store.ts'
import { median, printTable } from './table.ts'

const AGENTS = Number(process.env.BENCH_AGENTS ?? 1000)
const GRANTS = Number(process.env.BENCH_GRANTS ?? 10_000)
const TIMES = Number(process.env.BENCH_TIMES ?? 9)
export const title = `Access: ${AGENTS.toLocaleString('en')} agents, ${GRANTS.toLocaleString('en')} grants, half of them live`

const log = { info() {}, warn() {}, error() {} }
const teams = 20
const connections = Array.from({ length: 10 }, (_, n) => ({
  name: `db-${n}`,
  kind: 'postgres',
  tags: n % 2 === 0 ? ['production'] : [],
  access: n % 2 === 0 ? ('jit' as const) : ('standing' as const),
  mode: 'enforce' as const,
}))
const policy = [
  ...Array.from(
    { length: teams },
    (_, n) =>
      `@id("team-${n}") permit (principal in Group::"team-${n}", action in Action::"sql", resource in Connection::"db-${n % 10}");`,
  ),
  ...Array.from(
    { length: 10 },
    (_, n) =>
      `@id("secrets-${n}") forbid (principal, action in Action::"sql", resource == Table::"db-${n}/public.secrets");`,
  ),
  '@id("deletes") @hold("dba") forbid (principal, action == Action::"sql:write", resource) when { context.command.kind == "delete" } unless { context has approval };',
  '@id("nights") @hold("dba") forbid (principal, action == Action::"sql:ddl", resource) when { context.time.hour < 6 } unless { context has approval };',
].join('\n')

/** Prints how long the lists and the question of who could do what take; nothing is asserted. */
export async function run(): Promise<void> {
  const folder = mkdtempSync(join(process.env.BENCH_FOLDER ?? tmpdir(), 'countersign-bench-'))
  await using stack = new AsyncDisposableStack()
  stack.defer(() => rmSync(folder, { recursive: true, force: true }))
  const store = stack.use(await openStore(join(folder, 'store.db'), { log }))
  await fill(store)
  const registry = stack.use(
    await openRegistry({
      store,
      used: { connections: () => used },
      settings: () => ({ leftAfter: 90 * 86_400_000, sponsorFrom: 'registry', agentIssuers: new Set(['https://idp']) }),
      log,
    }),
  )
  const sets = stack.use(createPermittedSets())
  const at = new Date()
  const then = async (more: object = {}) => {
    let lines = 0
    for (let after: string | undefined; ; ) {
      const page = await accessThen(
        { store, sets },
        { at, limit: 10_000, ...(after !== undefined && { after }), ...more },
      )
      lines += page.items.length
      if (page.next === null) return lines
      after = page.next
    }
  }
  const rows: string[][] = []
  const measure = async (what: string, work: () => Promise<number>, times = TIMES) => {
    const took: number[] = []
    let lines = 0
    for (let n = 0; n < times; n++) {
      const began = performance.now()
      lines = await work()
      took.push(performance.now() - began)
    }
    rows.push([what, lines.toLocaleString('en'), median(took).toFixed(1), Math.max(...took).toFixed(1)])
  }
  const list = (query: object) => listGrants(store.db, { limit: 10_000, scope: { see: 'all' }, ...query })
  await measure('agents: all of them', async () => (await registry.agents({ limit: 10_000 })).items.length)
  await measure('agents: a page of 100', async () => (await registry.agents({ limit: 100 })).items.length)
  await measure(
    'agents: orphans only',
    async () => (await registry.agents({ orphans: true, limit: 10_000 })).items.length,
  )
  await measure(
    'agents: by words',
    async () => (await registry.agents({ text: 'team-7 bot', limit: 10_000 })).items.length,
  )
  await measure('grants: all of them', async () => (await list({})).items.length)
  await measure(
    'grants: a page of 100 live ones',
    async () => (await list({ state: 'active', limit: 100 })).items.length,
  )
  await measure('who could do what: its policies read first', async () => then({ agent: 'https://idp#bot-1' }), 1)
  await measure('who could do what: one agent', async () => then({ agent: 'https://idp#bot-1' }))
  await measure('who could do what: one connection, writing', async () =>
    then({ connection: 'db-3', action: 'sql:write' }),
  )
  await measure('who could do what: a page of 1,000', async () => {
    const { items } = await accessThen({ store, sets }, { at, limit: 1000 })
    return items.length
  })
  await measure('who could do what: everybody, everything', () => then())
  printTable(['', 'lines', 'ms (median)', 'ms (longest)'], rows)
}

const used = new Map<string, AgentRecord['connections']>()

async function fill(store: Store): Promise<void> {
  const now = Date.now()
  const at = (minutes: number) => new Date(now + minutes * 60_000).toISOString()
  const files = readPolicyTexts([{ file: 'base.cedar', text: policy }])
  if (!files.ok) throw new Error(JSON.stringify(files.problems))
  await store.db.transaction().execute(async (tx) => {
    await putConfigured(tx, connections, new Date(now - 3_600_000))
    await putInForce(tx, files.files, 'a bench', new Date(now - 3_600_000))
  })
  const identityOf = (n: number) => ({
    id: `https://idp#bot-${n}`,
    issuer: 'https://idp',
    subject: `bot-${n}`,
    name: `Bot ${n}`,
    groups: [`team-${n % teams}`, 'everybody'],
  })
  const inBatches = async <T>(all: T[], insert: (some: T[]) => Promise<unknown>) => {
    for (let from = 0; from < all.length; from += 200) await insert(all.slice(from, from + 200))
  }
  await store.db.transaction().execute(async (tx) => {
    const agents = Array.from({ length: AGENTS }, (_, n) => identityOf(n))
    await inBatches(agents, (some) =>
      tx
        .insertInto('agents')
        .values(
          some.map((identity, n) => ({
            ...{
              id: identity.id,
              issuer: identity.issuer,
              subject: identity.subject,
              identity: JSON.stringify(identity),
            },
            ...{ name: null, owner: null, sponsor: n % 3 === 0 ? null : 'ada', purpose: 'reports', environment: null },
            ...{
              first_seen_at: at(-60),
              last_seen_at: at(-1),
              disabled_at: null,
              disabled_by: null,
              disabled_because: null,
            },
          })),
        )
        .execute(),
    )
    await inBatches(agents, (some) =>
      tx
        .insertInto('agent_identities')
        .values(some.map((identity) => ({ agent: identity.id, at: at(-60), identity: JSON.stringify(identity) })))
        .execute(),
    )
    for (const { id } of agents) used.set(id, [{ connection: 'db-1', lastUsedAt: at(-1), sessions: 3 }])
    const by = JSON.stringify({ kind: 'agent', id: 'https://idp#bot-1', name: 'Bot 1' })
    const grants = Array.from({ length: GRANTS }, (_, n) => ({ n, identity: identityOf(n % AGENTS) }))
    await inBatches(grants, (some) =>
      tx
        .insertInto('grants')
        .values(
          some.map(({ n, identity }) => ({
            ...{
              id: `gr_${String(n).padStart(16, '0')}`,
              state: n % 2 === 0 ? ('active' as const) : ('expired' as const),
            },
            ...{ connection: `db-${(n % 5) * 2}`, connection_tags: '[]', agent: identity.id, on_behalf_of: '' },
            ...{ identity: JSON.stringify(identity), actions: '["sql:read","sql:write"]' },
            resources: n % 3 === 0 ? JSON.stringify([`db-${(n % 5) * 2}/public.items`]) : null,
            ...{ duration: '8h', seconds: 28_800, purpose: 'a bench', plan: null, step: null, extends: null },
            ...{
              requested_at: at(-50),
              requested_by: by,
              requester: identity.id,
              approval: null,
              policies: '[]',
            },
            ...{ active_from: at(-50), expires_at: n % 2 === 0 ? at(430) : at(-10) },
            ...{
              ended_at: n % 2 === 0 ? null : at(-10),
              ended_by: n % 2 === 0 ? null : '{"kind":"gateway","id":"","name":""}',
            },
            ...{ ended_because: null, sessions: 1, last_used_at: at(-20) },
          })),
        )
        .execute(),
    )
  })
}
