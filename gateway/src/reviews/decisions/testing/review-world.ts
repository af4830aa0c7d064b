import { hash } from 'node:crypto'
import { join } from 'node:path'
import { canonical } from '@countersign/contract/canonical'
import type {
  CampaignItem,
  CampaignItemPage,
  ItemEvidence,
  Recommendation,
  ReviewStage,
  Verdict,
} from '@countersign/contract/review'
import { CampaignPlan } from '@countersign/contract/review'
import { sql } from 'kysely'
import { startWorld, type World } from '../../../api/testing/world.ts'
import { openEntries } from '../../../sessions/ledger/entries.ts'
import { beginCampaign } from '../../campaigns/beginning.ts'
import { newId } from '../../campaigns/ids.ts'
import { nameKey } from '../../campaigns/items.ts'
import { makeDraft } from '../../campaigns/making.ts'
import { reviewersKnown } from '../../campaigns/reviewers.ts'

/** Who is there: name → groups; reviewers are those of `security`. Everybody has the address NAME@shop.test. */
export const cast = {
  rae: ['security'],
  ron: ['security'],
  rita: ['security', 'payments'],
  roy: ['security', 'oncall-dba'],
  ada: ['oncall-dba'],
  aud: ['audit'],
  max: ['platform'],
} as const
export type Name = keyof typeof cast

export interface Answer<T = Record<string, unknown>> {
  status: number
  body: T & { detail?: string; item?: CampaignItem; campaign?: { id: string; state: string } }
}

export interface ItemSpec {
  /** Subject of the agent. */
  agent: string
  connection?: string
  recommended?: Verdict
  privileged?: boolean
  sponsor?: Name
}

/** A gateway's API with people who review, and campaigns whose items were examined without a snapshot. */
export interface ReviewWorld extends AsyncDisposable {
  world: World
  idOf(name: Name): string
  agentId(subject: string): string
  /** The policy that is recommended for an agent. */
  policyFor(subject: string, connection?: string): string
  begin(items: readonly ItemSpec[], changes?: { stages?: ReviewStage[]; owner?: Name; days?: number }): Promise<string>
  ask<T = Record<string, unknown>>(method: string, path: string, as: Name, body?: unknown): Promise<Answer<T>>
  items(campaign: string, as?: Name): Promise<CampaignItem[]>
  page(campaign: string, item: string, as?: Name): Promise<CampaignItemPage>
  /** Entries of the ledger about a campaign, the first one first. */
  entries(campaign: string): Promise<{ n: number; at: string; type: string; payload: Record<string, unknown> }[]>
  /** What the store answers to a statement. */
  rows(sql: string): Promise<Record<string, unknown>[]>
  /** Entries of the ledger about a campaign, of a type, the first one first. */
  said(type: string, campaign: string): Promise<Record<string, unknown>[]>
  decide(
    as: Name,
    item: CampaignItem,
    verdict: Verdict,
    more?: { id?: string; revision?: number; reason?: string; policy?: string } & Record<string, unknown>,
  ): Promise<Answer<{ item: CampaignItem; decision: { id: string } }>>
}

const overlays = ['overlay.proposed', 'overlay.rejected']

let ids = 0
export const clientId = () => `client-${String(++ids).padStart(6, '0')}`

export async function startReviewWorld(): Promise<ReviewWorld> {
  const world = await startWorld()
  const tokens = new Map<Name, Promise<string>>()
  const tokenOf = (name: Name) => {
    const known =
      tokens.get(name) ??
      world.people.personToken({
        subject: name,
        name,
        groups: [...cast[name]],
        claims: { email: `${name}@shop.test`, email_verified: true },
      })
    tokens.set(name, known)
    return known
  }
  const ask: ReviewWorld['ask'] = async (method, path, as, body) => {
    const headers = { authorization: `Bearer ${await tokenOf(as)}`, 'content-type': 'application/json' }
    const sent = body === undefined ? {} : { body: JSON.stringify(body) }
    const answer = await fetch(`${world.url}/v1${path}`, { method, headers, ...sent })
    return { status: answer.status, body: (await answer.json()) as never }
  }
  for (const name of Object.keys(cast) as Name[]) await ask('GET', '/me', name)
  await world.access.registry.flush()

  const idOf = (name: Name) => `${world.people.url}#${name}`
  const agentId = (subject: string) => `${world.agents.url}#${subject}`
  const policyFor = (subject: string, connection = 'orders') =>
    `forbid (
  principal == Agent::"${agentId(subject)}",
  action in [Action::"sql:write", Action::"sql:ddl"],
  resource in Connection::"${connection}"
);
`
  const items: ReviewWorld['items'] = async (campaign, as = 'rae') => {
    const { body } = await ask<{ items: CampaignItem[] }>('GET', `/campaigns/${campaign}/items?limit=1000`, as)
    return body.items
  }

  const entries: ReviewWorld['entries'] = async (campaign) => {
    await world.ledger.sync()
    using kept = openEntries(join(world.folder, 'logged', 'ledger'))
    return ['campaign.item', 'item.decided', 'item.staged', 'item.moved', 'item.commented', ...overlays]
      .flatMap((type) => [...kept.byType(type)])
      .map(({ n, at, type, payload }) => ({ n, at, type, payload: JSON.parse(String(payload)) }))
      .filter(({ payload }) => payload.campaign === campaign)
      .sort((a, b) => a.n - b.n)
  }

  return {
    world,
    idOf,
    agentId,
    policyFor,
    ask,
    items,
    async page(campaign, item, as = 'rae') {
      const { status, body } = await ask('GET', `/campaigns/${campaign}/items/${item}`, as)
      if (status !== 200) throw new Error(`${status} ${body.detail}`)
      return body as unknown as CampaignItemPage
    },
    decide: (as, item, verdict, { id = clientId(), ...more } = {}) =>
      ask('PUT', `/campaigns/${item.campaign}/items/${item.id}/decisions/${id}`, as, {
        ...{ verdict, reason: 'so it is', revision: item.revision },
        ...more,
      }),
    entries,
    async rows(statement) {
      const { rows } = await sql.raw<Record<string, unknown>>(statement).execute(world.store.db)
      return rows
    },
    async said(type, campaign) {
      return (await entries(campaign)).filter((one) => one.type === type).map(({ payload }) => payload)
    },
    async begin(specs, { stages, owner = 'max', days } = {}) {
      const at = new Date()
      const plan = CampaignPlan.parse({ title: 'Quarter', ...(stages && { stages }), ...(days && { days }) })
      const person = world.access.registry.person(idOf(owner))!
      return world.store.db.transaction().execute(async (tx) => {
        const campaign = await makeDraft(tx, { plan, trigger: { kind: 'person' }, by: person, owner: person.id, at })
        await beginCampaign(tx, campaign, {
          plan,
          people: reviewersKnown(world.access.registry),
          by: person,
          snapshotAt: at,
          windowFrom: new Date(at.getTime() - 90 * 86_400_000).toISOString(),
          policy: `sha256:${'0'.repeat(64)}`,
          coverage: { commands: 10, unreadable: 0, notes: [] },
          at,
          items: specs.map((spec) => takenItem(campaign, spec, at)),
        })
        return campaign
      })
    },
    async [Symbol.asyncDispose]() {
      await world[Symbol.asyncDispose]()
    },
  }

  function takenItem(campaign: string, spec: ItemSpec, at: Date) {
    const { agent, connection = 'orders', recommended = 'certify', privileged = false, sponsor } = spec
    const id = newId('it')
    const known = world.access.registry.entry(agentId(agent))
    const actsFor = known?.actsFor ?? []
    const evidence = canonical(evidenceOf(campaign, id, agentId(agent), agent, connection, at))
    const policy = recommended === 'reduce' ? policyFor(agent, connection) : undefined
    const recommendation: Recommendation = {
      verdict: recommended,
      summary: `${recommended} it`,
      reasons: [{ code: 'used', text: 'used each day' }],
      ...(policy !== undefined && { policy }),
      keeps: [],
      drops: [],
    }
    return {
      id,
      subject: { kind: 'access' as const, agent: agentId(agent), connection },
      name: agent,
      privileged,
      summary: {
        ...{ groups: ['ci-agents'], connectionTags: [], access: 'standing' as const, privilegedBecause: [] },
        ...{ commands: 10, refused: 0, held: 0, permittedCells: 4, usedCells: 2 },
        ...(sponsor && { sponsor: idOf(sponsor) }),
        actsFor: actsFor.map(nameKey),
      },
      recommendation,
      evidence: () => evidence,
      evidenceSha256: hash('sha256', evidence),
      about: {
        ...(sponsor && { sponsor: idOf(sponsor) }),
        agent: { id: agentId(agent), issuer: world.agents.url, subject: agent, name: agent, actsFor },
      },
    }
  }
}

function evidenceOf(
  campaign: string,
  item: string,
  agent: string,
  name: string,
  connection: string,
  at: Date,
): ItemEvidence {
  const to = at.toISOString()
  return {
    format: 'countersign-evidence/1',
    ...{ campaign, item, at: to },
    window: { from: new Date(at.getTime() - 90 * 86_400_000).toISOString(), to },
    coverage: { commands: 10, unreadable: 0, notes: [] },
    identity: { agent, name, state: 'active', groups: ['ci-agents'], actsFor: [] },
    connection: { name: connection, kind: 'postgres', tags: [], access: 'standing', mode: 'enforce' },
    ...{ permitted: [], used: [], through: [], grants: [], days: [], refused: [], heldCommands: [], masked: [] },
    anomalies: [],
  }
}
