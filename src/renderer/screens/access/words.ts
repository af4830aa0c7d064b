import type { Doer, Grant } from '@countersign/contract/access'
import type { Me } from '../../app/store.ts'
import type { Tone } from '../../parts/basics.tsx'
import { age } from '../../parts/time.ts'

/** Actions of the policy schema in plain words, by the kind of connection on which they can be done. */
export interface ActionWords {
  readonly name: string
  readonly says: string
  /** What of others it contains. */
  readonly contains?: readonly string[]
  /** What asks for a second look. */
  readonly grave?: boolean
}

const reveal: ActionWords = {
  name: 'data:reveal',
  says: 'sees classified values unmasked, where a policy lets it',
  grave: true,
}

export const actionsByKind: Readonly<Record<string, readonly ActionWords[]>> = {
  postgres: [
    { name: 'sql:read', says: 'reads rows' },
    { name: 'sql:write', says: 'adds, changes and deletes rows' },
    { name: 'sql:call', says: 'calls functions and procedures that may change something' },
    { name: 'sql:ddl', says: 'creates, changes and drops tables and the like', grave: true },
    { name: 'sql:admin', says: 'administers: roles, rights, server settings, files', grave: true },
    { name: 'sql:unknown', says: 'runs what the gateway can’t understand', grave: true },
    {
      name: 'sql',
      says: 'everything that SQL can do',
      contains: ['sql:read', 'sql:write', 'sql:call', 'sql:ddl', 'sql:admin', 'sql:unknown'],
      grave: true,
    },
    reveal,
  ],
  ssh: [
    { name: 'ssh:exec', says: 'runs single commands' },
    { name: 'ssh:shell', says: 'opens a shell: recorded, not policed', grave: true },
    { name: 'ssh:forward', says: 'reaches other hosts through it', grave: true },
    { name: 'sftp:read', says: 'reads files' },
    { name: 'sftp:write', says: 'writes and deletes files' },
    {
      name: 'ssh',
      says: 'everything over SSH',
      contains: ['ssh:exec', 'ssh:shell', 'ssh:forward', 'sftp:read', 'sftp:write'],
      grave: true,
    },
    reveal,
  ],
  kubernetes: [
    { name: 'k8s:read', says: 'gets, lists and watches', contains: ['k8s:get', 'k8s:list', 'k8s:watch'] },
    { name: 'k8s:get', says: 'reads one object' },
    { name: 'k8s:list', says: 'lists objects' },
    { name: 'k8s:watch', says: 'watches objects change' },
    { name: 'k8s:create', says: 'creates objects' },
    { name: 'k8s:update', says: 'replaces objects' },
    { name: 'k8s:patch', says: 'changes parts of objects' },
    { name: 'k8s:delete', says: 'deletes one object', grave: true },
    { name: 'k8s:deletecollection', says: 'deletes all objects of a kind', grave: true },
    { name: 'k8s:exec', says: 'runs commands in containers', grave: true },
    { name: 'k8s:attach', says: 'attaches to running containers', grave: true },
    { name: 'k8s:portforward', says: 'reaches ports of pods' },
    { name: 'k8s:proxy', says: 'speaks to services and nodes through the API', grave: true },
    { name: 'k8s:token', says: 'makes credentials of service accounts', grave: true },
    {
      name: 'k8s:write',
      says: 'changes, deletes, executes: all but reading',
      contains: [
        ...['k8s:create', 'k8s:update', 'k8s:patch', 'k8s:delete', 'k8s:deletecollection'],
        ...['k8s:exec', 'k8s:attach', 'k8s:portforward', 'k8s:proxy', 'k8s:token'],
      ],
      grave: true,
    },
    { name: 'k8s', says: 'everything that the API can do', contains: ['k8s:read', 'k8s:write'], grave: true },
    reveal,
  ],
  http: [
    { name: 'http:read', says: 'reads: GET, HEAD, OPTIONS' },
    { name: 'http:write', says: 'changes: POST, PUT, PATCH, DELETE' },
    { name: 'http', says: 'everything over HTTP', contains: ['http:read', 'http:write'], grave: true },
    reveal,
  ],
  mcp: [
    { name: 'mcp:list', says: 'lists tools and resources' },
    { name: 'mcp:call', says: 'calls tools' },
    { name: 'mcp:read', says: 'reads resources' },
    { name: 'mcp', says: 'everything over MCP', contains: ['mcp:list', 'mcp:call', 'mcp:read'], grave: true },
    reveal,
  ],
}

const words = new Map(
  Object.values(actionsByKind)
    .flat()
    .map((one) => [one.name, one]),
)

/** An action in plain words; its name alone where this console doesn't know it. */
export function actionWords(name: string): ActionWords {
  if (name.endsWith(':connect')) return { name, says: 'opens the connection' }
  return words.get(name) ?? { name, says: '' }
}

/** How a grant stands, as a word with its tone. */
export function stateWords(grant: Grant): { tone: Tone; word: string } {
  switch (grant.state) {
    case 'requested':
      return { tone: 'warn', word: 'asked for' }
    case 'active':
      return { tone: 'ok', word: 'active' }
    case 'expired':
      return { tone: 'plain', word: grant.activeFrom ? 'expired' : 'lapsed, nobody decided' }
    case 'revoked':
      return { tone: 'danger', word: 'revoked' }
    case 'denied':
      return { tone: 'danger', word: 'denied' }
  }
}

/** From when to when access was there, or would be; undefined where it never was. Milliseconds. */
export function spanOf(grant: Grant): { from: number; to: number } | undefined {
  if (grant.activeFrom === undefined) return undefined
  const from = Date.parse(grant.activeFrom)
  const end = grant.state === 'active' ? grant.expiresAt : (grant.endedAt ?? grant.expiresAt)
  return { from, to: end === undefined ? from + grant.seconds * 1000 : Date.parse(end) }
}

/** When a grant is over, or lapses, or was: what lists are sorted by. */
export function endOf(grant: Grant): string {
  const over = grant.state === 'active' || grant.state === 'requested' ? grant.expiresAt : grant.endedAt
  return over ?? grant.expiresAt ?? grant.requestedAt
}

/** How long is left, as roughly as a glance takes it in. */
export function leftWords(ms: number): string {
  if (ms <= 0) return 'time up'
  return ms < 60_000 ? `${Math.ceil(ms / 1000)} s` : age(ms)
}

/** Who did something, in words: you, a name, policy's or the gateway's own doing. */
export function doerWords(doer: Doer, me: Me | null): string {
  if (doer.id === me?.id) return 'you'
  return doer.kind === 'gateway' ? 'the gateway' : doer.name
}

/** Whose approval gave it, in a word or two. */
export function approvedWords(grant: Grant, me: Me | null): string {
  if (grant.approvedBy.length > 0)
    return grant.approvedBy.map(({ person, personId }) => (personId === me?.id ? 'you' : person)).join(', ')
  return grant.activeFrom === undefined ? '' : 'policy'
}

/** What this person may do about a grant, as far as roles tell; the gateway has the last word. */
export function mayDo(grant: Grant, me: Me | null): { extend: boolean; revoke: boolean } {
  if (me?.kind !== 'person') return { extend: false, revoke: false }
  const active = grant.state === 'active'
  const own = grant.requestedBy.id === me.id || [me.id, me.subject, me.name].includes(grant.identity.owner ?? '')
  const ends = own || me.roles.includes('admin')
  return {
    extend: active && me.roles.length > 0,
    // A request is denied by those who decide it, on its card.
    revoke: active ? ends || me.roles.includes('approver') : grant.state === 'requested' && ends,
  }
}
