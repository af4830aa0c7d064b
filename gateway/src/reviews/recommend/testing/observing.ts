import type { ItemEvidence } from '@countersign/contract/review'
import type { Command, ConnectionRef, Effect } from '../../../gate/command.ts'
import { effectRecord } from '../../../gate/recorded.ts'
import type { AgentPrincipal } from '../../../identity/principal.ts'
import type { RecordedCommand, RecordedSession } from '../../../sessions/ledger/commands.ts'
import { accessKey, type ObservedAccess } from '../../evidence/observed.ts'
import { Observing } from '../../evidence/observing.ts'
import type { Room } from '../../evidence/uses.ts'

export const window = { from: '2026-08-01T00:00:00.000Z', to: '2026-11-01T00:00:00.000Z' }

/** A command as it was recorded, with what the gate said of it. */
export interface Done {
  agent: AgentPrincipal
  connection: ConnectionRef
  effects: Effect[]
  verdict: RecordedCommand['verdict']
  at: string
  classes?: string[]
}

/** Commands as the ledger has them. */
export function* recordedOf(done: Iterable<Done>): Generator<RecordedCommand> {
  const sessions = new Map<string, RecordedSession>()
  let n = 0
  for (const { agent, connection, effects, verdict, at, classes } of done) {
    const key = accessKey(agent.id, connection.name)
    const session = sessions.get(key) ?? {
      id: `se_${sessions.size}`,
      openedAt: at,
      agent,
      connection: connection.name,
      protocol: connection.kind,
      mode: connection.mode,
    }
    sessions.set(key, session)
    yield {
      n: n++,
      at,
      session,
      command: `c${n}`,
      kind: 'test',
      digest: 'sha256:0',
      // As the ledger has it: what is undefined isn't there.
      effects: JSON.parse(JSON.stringify(effects.map((effect) => effectRecord(effect, 'test')))),
      verdict,
      ...(classes && { classes }),
    }
  }
}

/** What the pass counts of these commands of an agent on a connection. */
export function observedOf(
  done: Iterable<Done>,
  { agent, connection }: Pick<Done, 'agent' | 'connection'>,
  room?: Room,
): ObservedAccess | undefined {
  const observing = new Observing({ ...window, since: window.from, rulesOf: () => [], ...(room && { room }) })
  for (const recorded of recordedOf(done)) observing.add(recorded)
  return observing.result().access.get(accessKey(agent.id, connection.name))
}

/** The evidence that generated policies are made of; what is permitted is for the caller to say. */
export function evidenceOf(
  seen: ObservedAccess | undefined,
  { agent, connection }: Pick<Done, 'agent' | 'connection'>,
  more: Partial<ItemEvidence> = {},
): ItemEvidence {
  return {
    format: 'countersign-evidence/1',
    campaign: 'ca_1',
    item: 'it_1',
    at: window.to,
    window,
    coverage: { commands: 1000, unreadable: 0, since: '2026-01-01T00:00:00.000Z', notes: [] },
    identity: {
      agent: agent.id,
      name: agent.name,
      issuer: agent.issuer,
      state: 'active',
      sponsor: 'ada',
      groups: agent.groups,
      actsFor: [],
      firstSeenAt: '2026-01-01T00:00:00.000Z',
    },
    connection: {
      name: connection.name,
      kind: connection.kind,
      tags: connection.tags,
      access: connection.access ?? 'standing',
      mode: connection.mode,
    },
    permitted: [],
    used: [...(seen?.used ?? [])],
    through: [],
    grants: [],
    days: [...(seen?.days ?? [])],
    refused: [...(seen?.refused ?? [])],
    heldCommands: [...(seen?.heldCommands ?? [])],
    masked: [],
    anomalies: [...(seen?.anomalies ?? [])],
    ...more,
  }
}

/** A command at the gate. */
export function commandOf(
  { agent, connection, effects }: Pick<Done, 'agent' | 'connection' | 'effects'>,
  session: Command['session'] = { id: 's' },
): Command {
  const protocol = connection.kind as Command['protocol']
  return { protocol, connection, agent, session, text: 't', parameters: [], kind: 'test', effects, meaning: {} }
}
