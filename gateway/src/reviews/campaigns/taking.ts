import { hash } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import { deflateSync, inflateSync } from 'node:zlib'
import { canonical } from '@countersign/contract/canonical'
import type { CampaignPlan, ItemEvidence, Recommendation } from '@countersign/contract/review'
import type { AgentEntry } from '../../identity/registry/agent-entry.ts'
import { newId } from './ids.ts'
import { type ItemSummary, nameKey } from './items.ts'
import type { AskedAbout } from './reviewers.ts'
import type { Holding, ReviewSubject } from './subjects.ts'

/** What is found out about a subject (reviews/evidence). */
export interface Examined {
  evidence: ItemEvidence
  recommendation: Recommendation
  privileged: boolean
  privilegedBecause: string[]
}

/** An item that is about to be one. Documents are large, and there are many: they are kept small until they are written. */
export interface TakenItem {
  id: string
  subject: ReviewSubject
  name: string
  privileged: boolean
  summary: ItemSummary
  recommendation: Recommendation
  evidence: () => string
  evidenceSha256: string
  about: AskedAbout
}

export type Examine = (subject: ReviewSubject, item: string) => Promise<Examined>

/**
 * Examines what is held, and makes items of it: the riskiest first.
 * @param onProgress how many are done
 */
export async function takeItems(
  { scope }: CampaignPlan,
  held: readonly Holding[],
  parts: {
    examine: Examine
    entry: (agent: string) => AgentEntry | undefined
    onProgress: (done: number) => Promise<void>
    signal: AbortSignal
  },
): Promise<TakenItem[]> {
  const taken: TakenItem[] = []
  for (const [i, one] of held.entries()) {
    parts.signal.throwIfAborted()
    const id = newId('it')
    const examined = await parts.examine(one.subject, id)
    if (!scope.privileged || examined.privileged)
      taken.push(itemOf(id, one, examined, one.agent && parts.entry(one.agent.id)))
    await parts.onProgress(i + 1)
    await turn()
  }
  return taken.sort(byRisk)
}

function itemOf(
  id: string,
  { subject, connection, agent, lastUsedAt }: Holding,
  { evidence, recommendation, privileged, privilegedBecause }: Examined,
  entry: AgentEntry | undefined,
): TakenItem {
  const text = canonical(evidence)
  const kept = deflateSync(text, { level: 1 })
  const used = evidence.identity.lastUsedAt ?? lastUsedAt
  const actsFor = agent?.actsFor ?? []
  return {
    id,
    subject,
    name: subject.kind === 'rule' ? subject.policy : (agent?.name ?? evidence.identity.name),
    privileged,
    summary: {
      ...(agent?.sponsor !== undefined && { sponsor: agent.sponsor }),
      ...(agent?.owner !== undefined && { owner: agent.owner }),
      groups: agent?.groups ?? [],
      connectionTags: connection.tags,
      access: connection.access,
      privilegedBecause,
      ...(agent?.orphan !== undefined && { orphan: agent.orphan }),
      ...(used !== undefined && { lastUsedAt: used }),
      ...countsIn(evidence),
      actsFor: actsFor.map(nameKey),
    },
    recommendation,
    evidence: () => inflateSync(kept).toString(),
    evidenceSha256: hash('sha256', text),
    about: {
      sponsor: agent?.sponsor,
      owner: agent?.owner,
      ...(agent && { agent: { ...(entry ?? agent), name: agent.name } }),
    },
  }
}

function countsIn({ days, permitted, used }: ItemEvidence) {
  const sum = (of: (day: ItemEvidence['days'][number]) => number) => days.reduce((all, day) => all + of(day), 0)
  const cell = ({ action, resource }: { action: string; resource: string }) => JSON.stringify([action, resource])
  return {
    commands: sum(({ allowed, held, denied }) => allowed + held + denied),
    refused: sum(({ denied }) => denied),
    held: sum(({ held }) => held),
    permittedCells: new Set(permitted.filter(({ verdict }) => verdict !== 'deny').map(cell)).size,
    usedCells: new Set(used.map(cell)).size,
  }
}

const weight: Record<Recommendation['verdict'], number> = { revoke: 3, reduce: 2, abstain: 1, certify: 0 }

/** What is privileged, what nobody answers for and what should go comes first; then what was refused most. */
function byRisk(a: TakenItem, b: TakenItem): number {
  const [x, y] = [riskOf(a), riskOf(b)]
  for (const [i, value] of x.entries()) if (value !== y[i]) return y[i]! - value
  return placeOf(a) < placeOf(b) ? -1 : 1
}

function riskOf({ privileged, summary, recommendation }: TakenItem): number[] {
  const { orphan, refused, permittedCells, usedCells } = summary
  return [
    Number(privileged) + Number(orphan !== undefined),
    Number(privileged),
    weight[recommendation.verdict],
    refused,
    Math.max(permittedCells - usedCells, 0),
  ]
}

const placeOf = ({ name, subject, id }: TakenItem) => `${name}\n${subject.connection}\n${id}`
