import { createHash } from 'node:crypto'
import { type Comparison, orNull, text } from './comparison.ts'
import { asValue, type Columns, fromJson, type Value } from './said.ts'

const untold = { name: null, owner: null, sponsor: null, purpose: null, environment: null, keys: '[]' }
const enabled = { disabled_at: null, disabled_by: null, disabled_because: null }

/** What the registry was told of an agent, and what it has seen; on whose behalf it came is told by its sessions. */
export const agents: Comparison = {
  table: 'agents',
  what: 'agent',
  sql: `select id, issuer, subject, identity, name, owner, sponsor, purpose, environment, keys, declared, first_seen_at,
    disabled_at, disabled_by, disabled_because from agents`,
  row: ({ id, identity, keys, disabled_by, ...columns }) => ({
    key: text(id),
    columns: {
      ...(columns as Columns),
      identity: fromJson(identity),
      keys: fingerprintsIn(keys),
      disabled_by: fromJson(disabled_by),
    },
  }),
  types: ['agent.seen', 'agent.declared', 'agent.changed', 'agent.disabled', 'agent.enabled'],
  says({ at, type, payload }, before) {
    const { agent, by, reason } = payload
    if (type === 'agent.seen') {
      const { id, issuer, subject } = (agent ?? {}) as Record<string, unknown>
      const known = before(text(id))?.columns
      return {
        key: text(id),
        columns: {
          ...(known === undefined && { ...untold, ...enabled, declared: 0 }),
          issuer: text(issuer),
          subject: text(subject),
          identity: asValue(agent),
          first_seen_at: known?.first_seen_at ?? at,
        },
      }
    }
    const key = text(agent)
    if (type === 'agent.disabled')
      return { key, columns: { disabled_at: at, disabled_by: asValue(by), disabled_because: text(reason) } }
    if (type === 'agent.enabled') return { key, columns: enabled }
    const { name, owner, sponsor, purpose, environment, keys } = payload
    const of = { name: orNull(name), owner: orNull(owner), sponsor: orNull(sponsor) }
    const told = { ...of, purpose: orNull(purpose), environment: orNull(environment), keys: asValue(keys ?? []) }
    if (type === 'agent.changed') return { key, columns: told }
    const first = before(key) === undefined ? { ...enabled, identity: null, first_seen_at: null } : {}
    return { key, columns: { ...first, ...told, ...partsOf(key), declared: 1 } }
  },
  madeAt: ({ columns }) => text(columns.first_seen_at ?? '9'),
}

/** Issuers are URLs without a fragment. */
function partsOf(id: string): Columns {
  const at = id.indexOf('#')
  return { issuer: id.slice(0, at), subject: id.slice(at + 1) }
}

/** Fingerprints of keys as they are, not as the row says that they are. */
function fingerprintsIn(json: unknown): Value {
  try {
    const keys = JSON.parse(text(json)) as { blob: string; fingerprint: string }[]
    const found = keys.map(({ blob, fingerprint }) => {
      const digest = createHash('sha256').update(Buffer.from(blob, 'base64')).digest('base64').replace(/=+$/, '')
      return fingerprint === `SHA256:${digest}` ? fingerprint : `${fingerprint}, and another key`
    })
    return asValue(found)
  } catch {
    return 'not JSON'
  }
}

export const agentIdentities: Comparison = {
  table: 'agent_identities',
  what: 'identity',
  sql: 'select agent, at, identity from agent_identities',
  row: ({ agent, at, identity }) => ({ key: `${agent} at ${at}`, columns: { identity: fromJson(identity) } }),
  types: ['agent.seen'],
  says: ({ at, payload: { agent } }) => ({
    key: `${(agent as { id?: unknown } | undefined)?.id} at ${at}`,
    columns: { identity: asValue(agent) },
  }),
  madeAt: ({ key }) => key.slice(key.lastIndexOf(' ') + 1),
}

export const agentStates: Comparison = {
  table: 'agent_states',
  what: 'disabling or enabling',
  sql: 'select agent, at, state, by, reason from agent_states',
  row: ({ agent, at, state, by, reason }) => ({
    key: `${agent} ${state} at ${at}`,
    columns: { by: fromJson(by), reason: text(reason) },
  }),
  types: ['agent.disabled', 'agent.enabled'],
  says: ({ at, type, payload: { agent, by, reason } }) => ({
    key: `${agent} ${type === 'agent.disabled' ? 'disabled' : 'active'} at ${at}`,
    columns: { by: asValue(by), reason: text(reason) },
  }),
  madeAt: ({ key }) => key.slice(key.lastIndexOf(' ') + 1),
}

/** Who has left; that somebody signed in is told by entries that retention may take. */
export const people: Comparison = {
  table: 'people',
  what: 'leaving',
  sql: 'select id, left_at, left_by, left_because from people',
  row: ({ id, left_by, ...columns }) => ({
    key: text(id),
    columns: { ...(columns as Columns), left_by: fromJson(left_by) },
  }),
  types: ['person.left', 'person.returned'],
  says({ at, type, payload: { person, by, reason } }) {
    const key = text((person as { id?: unknown } | undefined)?.id)
    const back = { left_at: null, left_by: null, left_because: null }
    return {
      key,
      columns: type === 'person.left' ? { left_at: at, left_by: asValue(by), left_because: text(reason) } : back,
    }
  },
  quiet: true,
  also: ({ columns }, said) =>
    !said && Object.values(columns).some((value) => value !== null)
      ? 'says that somebody has left, and no entry says so'
      : undefined,
}

export const registryComparisons: readonly Comparison[] = [agents, agentIdentities, agentStates, people]
