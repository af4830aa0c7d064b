import { hash } from 'node:crypto'
import { canonical } from '@countersign/contract/canonical'
import type { PersonRef } from '@countersign/contract/identity'
import {
  CampaignPlan,
  type EvidenceCommand,
  type ItemEvidence,
  type Recommendation,
} from '@countersign/contract/review'
import { openEntries } from '../../../sessions/ledger/entries.ts'
import { command, type Room } from '../../../sessions/scribe/testing/room.ts'
import { appendAudit } from '../../../store/audit.ts'
import type { Tables } from '../../../store/tables.ts'

export const person = (name: string): PersonRef => ({
  id: `https://people#${name}`,
  issuer: 'https://people',
  subject: name,
  name,
})
export const rae = person('Rae')
const actor = (of: PersonRef) => ({ kind: 'person' as const, ...of })
const from = '2026-08-23T00:00:00.000Z'
const to = '2026-11-21T00:00:00.000Z'

export const evidenceOf = (
  campaign: string,
  item: string,
  name: string,
  cited: EvidenceCommand[] = [],
): ItemEvidence => ({
  format: 'countersign-evidence/1',
  campaign,
  item,
  at: to,
  window: { from, to },
  coverage: { commands: 120, unreadable: 0, since: from, notes: [] },
  identity: {
    agent: `https://idp#${name}`,
    name,
    state: 'active',
    sponsor: 'ada',
    sponsorName: 'Ada',
    purpose: 'answers tickets',
    groups: ['ci-agents'],
    actsFor: [],
    lastUsedAt: '2026-11-20T10:00:00.000Z',
  },
  connection: { name: 'orders', kind: 'postgres', tags: ['prod'], access: 'standing', mode: 'enforce' },
  permitted: [],
  used: [],
  through: [{ policy: 'base', file: 'base.cedar', effect: 'permit', text: 'permit (principal, action, resource);' }],
  grants: [],
  days: [{ day: '2026-11-20', allowed: 110, held: 6, denied: 4 }],
  refused: cited,
  heldCommands: [],
  masked: [],
  anomalies: [],
})

export const recommended = (verdict: Recommendation['verdict'], summary = `Say ${verdict}.`): Recommendation => ({
  verdict,
  summary,
  reasons: [{ code: 'used', text: 'It was used.' }],
  keeps: [],
  drops: [],
})

export interface MadeCampaign {
  id: string
  items: string[]
}

/** A campaign in a room's tables and ledger, written as the rooms of reviews write them, step by step. */
export class CampaignHand {
  readonly room: Room
  readonly id: string
  readonly items: { id: string; evidence: string }[] = []
  #decisions = 0

  constructor(room: Room, id = 'ca_test') {
    this.room = room
    this.id = id
  }

  async policy(version: string, texts: { file: string; text: string }[]): Promise<void> {
    await this.#tx(async (tx, say) => {
      await tx
        .insertInto('policy_versions')
        .values({ version, at: to, files: JSON.stringify(texts) })
        .execute()
      await say('policy.changed', {
        version,
        files: texts.map(({ file, text }) => ({ path: file, sha256: hash('sha256', text) })),
        by: { kind: 'gateway' },
      })
    })
  }

  /** A session with one command that was denied, as evidence cites it. */
  async command(text: string): Promise<EvidenceCommand> {
    const live = await this.room.session()
    live.recorder.append(command('c1', 'allow', text), {
      type: 'result',
      command: 'c1',
      tag: 'SELECT 1',
      ms: 1,
      status: 'ok',
    } as never)
    await live.close('closed', 'done')
    await this.room.ledger.signed()
    using entries = openEntries(`${this.room.folder}/ledger`)
    const row = entries.entriesOf(live.id, { types: ['command'] }).next().value!
    return {
      session: live.id,
      command: 'c1',
      entry: row.n,
      at: row.at,
      text,
      verdict: { outcome: 'allow', policies: [] },
      why: 'for the test',
    }
  }

  async start(names: string[], cited: EvidenceCommand[] = [], title = 'Quarterly review'): Promise<void> {
    const plan = CampaignPlan.parse({ title, controls: ['soc2:CC6.3'] })
    await this.#tx(async (tx, say) => {
      await tx
        .insertInto('campaigns')
        .values({
          id: this.id,
          state: 'active',
          title,
          plan: JSON.stringify(plan),
          trigger: JSON.stringify({ kind: 'person' }),
          template: null,
          created_at: from,
          created_by: JSON.stringify(rae),
          owner: rae.id,
          problem: null,
          started_at: to,
          started_by: JSON.stringify(rae),
          snapshot_at: to,
          window_from: from,
          policy: 'v1',
          coverage: null,
          due_at: '2026-12-05T00:00:00.000Z',
          closed_at: null,
          closed_by: null,
          closed_because: null,
        })
        .execute()
      await say('campaign.created', { campaign: this.id, title, plan, trigger: { kind: 'person' }, by: actor(rae) })
      for (const [i, name] of names.entries()) {
        const id = `it_${this.id.slice(3)}${i + 1}`
        const text = canonical(evidenceOf(this.id, id, name, i === 0 ? cited : []))
        const evidence = hash('sha256', text)
        const recommendation = recommended(i % 2 === 0 ? 'reduce' : 'certify')
        this.items.push({ id, evidence })
        await tx
          .insertInto('campaign_items')
          .values({
            id,
            campaign: this.id,
            number: i + 1,
            kind: 'access',
            agent: `https://idp#${name}`,
            name,
            connection: 'orders',
            privileged: i === 0 ? 1 : 0,
            summary: '{}',
            evidence: text,
            evidence_sha256: evidence,
            recommendation: JSON.stringify(recommendation),
            reviewers: JSON.stringify([rae]),
            how: null,
            decision: null,
            decided_at: null,
            application: null,
            overlay: null,
          })
          .execute()
        await say('campaign.item', {
          campaign: this.id,
          item: id,
          number: i + 1,
          kind: 'access',
          agent: `https://idp#${name}`,
          name,
          connection: 'orders',
          privileged: i === 0,
          evidence,
          recommendation: { verdict: recommendation.verdict },
          reviewers: [rae.id],
        })
      }
      await say('campaign.started', {
        campaign: this.id,
        by: actor(rae),
        items: names.length,
        snapshotAt: to,
        dueAt: '2026-12-05T00:00:00.000Z',
        policy: 'v1',
      })
    })
  }

  async decide(
    number: number,
    verdict: 'certify' | 'reduce' | 'revoke' | 'abstain',
    reason = 'looked at',
  ): Promise<string> {
    const { id, evidence } = this.items[number - 1]!
    const decision = `decision-${++this.#decisions}`
    const policy = verdict === 'reduce' ? 'forbid (principal, action, resource) unless { true };' : undefined
    await this.#tx(async (tx, say) => {
      await tx
        .insertInto('item_decisions')
        .values({
          id: decision,
          campaign: this.id,
          item: id,
          stage: 0,
          verdict,
          reason,
          policy: policy ?? null,
          person: rae.id,
          by: JSON.stringify(rae),
          in_place_of: null,
          at: to,
          made_at: null,
          how: 'reviewer',
          bulk: null,
          seconds: null,
          evidence_opened: null,
          followed: 1,
        })
        .execute()
      await tx.updateTable('campaign_items').set({ verdict, how: 'reviewer', decision }).where('id', '=', id).execute()
      if (verdict === 'revoke')
        await tx.updateTable('campaign_items').set({ application: 'not-supported' }).where('id', '=', id).execute()
      await say('item.decided', {
        campaign: this.id,
        item: id,
        decision,
        stage: 0,
        verdict,
        reason,
        by: actor(rae),
        how: 'reviewer',
        evidence,
        ...(policy !== undefined && { policy }),
      })
    })
    return decision
  }

  /** On to the next stage, as after a decision at the one before. */
  async stage(number: number, stage: number): Promise<void> {
    const { id } = this.items[number - 1]!
    await this.#tx(async (tx, say) => {
      await tx
        .updateTable('campaign_items')
        .set({ stage, verdict: 'undecided', how: null, decision: null })
        .where('id', '=', id)
        .execute()
      await say('item.staged', { campaign: this.id, item: id, stage, reviewers: [rae.id] })
    })
  }

  async comment(number: number, text: string): Promise<void> {
    const { id } = this.items[number - 1]!
    const comment = `comment-${number}`
    await this.#tx(async (tx, say) => {
      await tx
        .insertInto('item_comments')
        .values({
          id: comment,
          campaign: this.id,
          item: id,
          person: rae.id,
          by: JSON.stringify(rae),
          text,
          at: to,
          made_at: null,
        })
        .execute()
      await say('item.commented', { campaign: this.id, item: id, comment, by: rae, text })
    })
  }

  async move(number: number, to_: PersonRef): Promise<void> {
    const { id } = this.items[number - 1]!
    await this.#tx(async (tx, say) => {
      await tx
        .insertInto('item_moves')
        .values({
          id: `move-${number}`,
          campaign: this.id,
          item: id,
          kind: 'delegate',
          from_ref: null,
          to_ref: JSON.stringify(to_),
          by: JSON.stringify(rae),
          reason: 'knows it',
          at: to,
        })
        .execute()
      await say('item.moved', {
        campaign: this.id,
        item: id,
        move: `move-${number}`,
        kind: 'delegate',
        to: to_,
        by: rae,
        reason: 'knows it',
      })
    })
  }

  /** An overlay of an item from proposed to verified (or only so far). */
  async overlay(
    number: number,
    decision: string,
    until: 'proposed' | 'verified' | 'failed' = 'verified',
  ): Promise<string> {
    const { id: item } = this.items[number - 1]!
    const overlay = `ov_${this.id.slice(3)}${number}`
    const policy = 'forbid (principal, action, resource) unless { true };\n'
    const digest = hash('sha256', policy)
    const of = {
      overlay,
      number,
      kind: 'reduce' as const,
      connection: 'orders',
      digest,
      campaign: this.id,
      item,
      decision,
    }
    await this.#tx(async (tx, say) => {
      await tx
        .insertInto('overlays')
        .values({
          id: overlay,
          number,
          state: until,
          kind: 'reduce',
          title: 'Less',
          connection: 'orders',
          campaign: this.id,
          item,
          decision,
          policy,
          digest,
          proposed_at: to,
          proposed_by: null,
          proposed_because: 'decided',
          approved_at: null,
          approved_by: null,
          approved_because: null,
          applied_at: null,
          version: null,
          failed_because: null,
          rejected: null,
          roll_back: null,
          rolled_back: null,
        } as never)
        .execute()
      await say('overlay.proposed', { ...of, policy, title: 'Less', by: actor(rae) })
    })
    const application = until === 'proposed' ? 'pending' : until
    await this.room.store.db
      .updateTable('campaign_items')
      .set({ application, overlay })
      .where('id', '=', item)
      .execute()
    if (until === 'proposed') return overlay
    await this.policy(`v-${overlay}`, [
      { file: 'base.cedar', text: 'permit (principal, action, resource);\n' },
      { file: `overlay:${overlay}.cedar`, text: policy },
    ])
    await this.#tx(async (_, say) => {
      await say('overlay.applied', { ...of, version: `v-${overlay}`, by: actor(person('Admin')) })
      if (until === 'verified') await say('overlay.verified', { ...of, probes: 4, by: { kind: 'gateway' } })
      else await say('overlay.failed', { ...of, reason: 'a probe said allow', by: { kind: 'gateway' } })
    })
    return overlay
  }

  async close(counts: Record<string, number>): Promise<void> {
    await this.#tx(async (tx, say) => {
      await tx.updateTable('campaigns').set({ state: 'closed', closed_at: to }).where('id', '=', this.id).execute()
      await say('campaign.closed', { campaign: this.id, by: actor(rae), reason: 'all decided', counts })
      await tx
        .insertInto('campaign_sign_offs')
        .values({ campaign: this.id, person: rae.id, by: JSON.stringify(rae), statement: 'I stand by it', at: to })
        .execute()
      await say('campaign.signed-off', { campaign: this.id, by: rae, statement: 'I stand by it' })
    })
  }

  async #tx(work: (tx: Parameters<typeof appendAudit>[0], say: Say) => Promise<void>): Promise<void> {
    await this.room.store.db.transaction().execute((tx) => work(tx, (type, payload) => appendAudit(tx, type, payload)))
  }
}

type Say = <T extends Parameters<typeof appendAudit>[1]>(
  type: T,
  payload: Parameters<typeof appendAudit<T>>[2],
) => Promise<unknown>

export type { Tables }
