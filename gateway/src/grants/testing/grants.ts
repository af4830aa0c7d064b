import type { Approval } from '@countersign/contract/approval'
import type { AgentRef } from '@countersign/contract/identity'
import { type World as ApprovalsWorld, ada, world as approvalsWorld } from '../../approvals/testing/approvals.ts'
import type { ConnectionRef } from '../../gate/command.ts'
import { agentRef } from '../../identity/principal.ts'
import type { Policies } from '../../policy/policy.ts'
import { bot, orders, policiesOf } from '../../policy/testing/policies.ts'
import { createGrants, type GrantChange, type Grants, type GrantsConfig } from '../grants.ts'

/** Reading is given at once; writing is held; admin is denied by name; other connections aren't permitted. */
export const POLICY = `
@id("ask-orders") permit (principal in Group::"ci-agents", action == Action::"access:request", resource == Connection::"orders");
@id("ask-web") permit (principal in Group::"ci-agents", action == Action::"access:request", resource == Connection::"web-1");
@id("writing") @hold("oncall-dba") @reason("Writes") forbid (principal, action == Action::"access:request", resource)
when { context.actions.contains("sql:write") } unless { context has approval };
@id("long") @hold("sre") @quorum("2") forbid (principal, action == Action::"access:request", resource)
when { context.seconds > 3600 } unless { context has approval };
@id("no-admin") @reason("Nobody") forbid (principal, action == Action::"access:request", resource)
when { context.actions.contains("sql:admin") };
`

export const web: ConnectionRef = { name: 'web-1', kind: 'ssh', tags: [], mode: 'enforce', access: 'jit' }
export const vault: ConnectionRef = {
  name: 'vault',
  kind: 'postgres',
  tags: ['secret'],
  mode: 'enforce',
  access: 'jit',
}

export const other = { ...bot, id: 'https://idp.example.com#other', subject: 'other', name: 'Other bot' }

export interface World extends AsyncDisposable {
  approvals: ApprovalsWorld
  grants: Grants
  policies: Policies
  config: GrantsConfig
  connections: Map<string, ConnectionRef>
  disabled: Map<string, { reason: string }>
  changes: GrantChange[]
  /** Ends this process's part without telling anybody, and starts another on the same store. */
  restart(): Promise<void>
  /** Approves what a grant asks for. */
  decide(
    grant: { approval?: string | undefined },
    verdict?: 'approve' | 'deny',
    by?: typeof ada,
    window?: string,
  ): Promise<Approval>
  /** Resolves once a grant is in a state. */
  untilState(id: string, state: string): Promise<void>
  entries(): Promise<{ type: string; payload: Record<string, unknown> }[]>
}

/** Grants over real approvals, on a store of their own, by a clock that stands still. */
export async function world(policy = POLICY): Promise<World> {
  const approvals = await approvalsWorld()
  const known = new Map<string, AgentRef>([bot, other].map((agent) => [agent.id, agentRef(agent)]))
  const start = () => {
    const grants = createGrants({
      store: approvals.store,
      approvals: approvals.approvals,
      policies: () => running.policies,
      connection: (name) => running.connections.get(name),
      agents: { known: (id) => known.get(id), disabled: (id) => running.disabled.get(id) },
      config: () => running.config,
      asking: () => ({ ...approvals.limits, ...approvals.config }),
      clock: approvals.clock,
      log: { error: (entry: unknown) => void approvals.errors.push(entry) } as never,
    })
    grants.onChange((change) => running.changes.push(change))
    return grants
  }
  const running: World = {
    approvals,
    grants: undefined as unknown as Grants,
    policies: await policiesOf(policy),
    config: { max_duration: 8 * 3_600_000, per_agent: 50 },
    connections: new Map([orders, web, vault].map((one) => [one.name, one])),
    disabled: new Map(),
    changes: [],
    async restart() {
      await running.grants[Symbol.asyncDispose]()
      await approvals.restart()
      await approvals.approvals.recover()
      running.grants = start()
      await running.grants.recover()
    },
    async decide({ approval }, verdict = 'approve', by = ada, window = 'once') {
      const { command } = (await approvals.approvals.get(approval!))!
      const request = { verdict, reason: 'so it is', digest: command.digest, window: window as 'once' }
      const decided = await approvals.approvals.decide(approval!, by, request)
      if (!decided.ok) throw new Error(decided.message)
      return decided.approval
    },
    untilState: (id, state) => approvals.until(async () => (await running.grants.get(id))?.state === state),
    async entries() {
      const rows = await approvals.store.db
        .selectFrom('audit_outbox')
        .select(['type', 'payload'])
        .orderBy('id')
        .execute()
      return rows.map(({ type, payload }) => ({ type, payload: JSON.parse(payload) }))
    },
    async [Symbol.asyncDispose]() {
      await running.grants[Symbol.asyncDispose]()
      await approvals[Symbol.asyncDispose]()
    },
  }
  running.grants = start()
  return running
}

export const read = (more: object = {}) => ({
  connection: 'orders',
  actions: ['sql:read'],
  duration: '30m',
  purpose: 'count the orders',
  ...more,
})
export const write = (more: object = {}) => read({ actions: ['sql:write'], purpose: 'mend the orders', ...more })
