import type { AgentRecord } from '@countersign/contract/access'

export interface AgentFilter {
  readonly text: string
  readonly state: 'orphans' | 'active' | 'disabled' | 'never' | ''
  readonly issuer: string
  readonly connection: string
}

export const noFilter: AgentFilter = { text: '', state: '', issuer: '', connection: '' }

/** A filter that leaves nothing out is `noFilter` itself. */
export function settled(filter: AgentFilter): AgentFilter {
  return Object.values(filter).every((value) => value === '') ? noFilter : filter
}

export interface ArrangedAgents {
  /** For whom nobody answers, though they may act. */
  readonly orphans: readonly AgentRecord[]
  readonly answered: readonly AgentRecord[]
  readonly disabled: readonly AgentRecord[]
}

/** Agents that fit: those for whom nobody answers first, then by name; disabled ones last. */
export function arrangeAgents(agents: Iterable<AgentRecord>, filter: AgentFilter): ArrangedAgents {
  const fits = fitting(filter)
  const sections = { orphans: [] as AgentRecord[], answered: [] as AgentRecord[], disabled: [] as AgentRecord[] }
  for (const agent of agents) {
    if (!fits(agent)) continue
    if (agent.state === 'disabled') sections.disabled.push(agent)
    else if (agent.orphan) sections.orphans.push(agent)
    else sections.answered.push(agent)
  }
  for (const section of Object.values(sections)) section.sort(byName)
  return sections
}

const byName = (a: AgentRecord, b: AgentRecord) =>
  a.name < b.name ? -1 : a.name > b.name ? 1 : a.id < b.id ? -1 : a.id > b.id ? 1 : 0

function fitting({ text, state, issuer, connection }: AgentFilter): (agent: AgentRecord) => boolean {
  const wanted = text.toLowerCase().split(/\s+/).filter(Boolean)
  return (agent) =>
    (state === '' || inState(agent, state)) &&
    (issuer === '' || agent.issuer === issuer) &&
    (connection === '' || agent.connections.some((one) => one.connection === connection)) &&
    wanted.every((word) => agentText(agent).includes(word))
}

function inState(agent: AgentRecord, state: Exclude<AgentFilter['state'], ''>): boolean {
  if (state === 'orphans') return agent.orphan !== undefined
  if (state === 'never') return agent.lastSeenAt === undefined
  return agent.state === state
}

const texts = new WeakMap<AgentRecord, string>()

/** What an agent is found by, in small letters. */
export function agentText(agent: AgentRecord): string {
  let text = texts.get(agent)
  if (text === undefined) {
    text = [
      ...[agent.id, agent.name, agent.owner, agent.sponsor, agent.sponsorName, agent.purpose, agent.environment],
      ...agent.groups,
      ...agent.actsFor,
      ...agent.chain,
      ...agent.connections.map(({ connection }) => connection),
      ...agent.keys.flatMap(({ fingerprint, comment }) => [fingerprint, comment]),
    ]
      .join('\n')
      .toLowerCase()
    texts.set(agent, text)
  }
  return text
}
