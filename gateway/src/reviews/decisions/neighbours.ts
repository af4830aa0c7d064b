import type { CampaignItem } from '@countersign/contract/review'
import type { Registry } from '../../identity/registry/registry.ts'
import type { Overlays } from '../apply/apply.ts'
import { moveOverlay, rowOf } from '../apply/rows.ts'
import { askedBy, reviewersKnown } from '../campaigns/reviewers.ts'
import { actorOf, refOf } from '../campaigns/rows.ts'
import { revoking } from '../recommend/revoking.ts'
import { NoPolicyForRule } from '../recommend/rules.ts'
import type { Neighbours } from './deciding.ts'
import { earlierDeciders } from './may-act.ts'

/** What decisions ask of the rooms beside them: overlays, what a revoke forbids, and who is asked at the next stage. */
export function neighboursOf(rooms: {
  overlays: Pick<Overlays, 'propose'>
  registry: Pick<Registry, 'people' | 'entry'>
}): Neighbours {
  const { overlays, registry } = rooms
  return {
    propose: (tx, proposal) => overlays.propose(tx, proposal),

    async withdraw(tx, overlay, by, reason, at) {
      const row = await rowOf(tx, overlay)
      if (row.state !== 'proposed') return
      const rejected = JSON.stringify({ by: refOf(by), at: at.toISOString(), reason })
      const said = { type: 'overlay.rejected' as const, by: actorOf(by), payload: { reason }, at }
      await moveOverlay(tx, row, { state: 'rejected', rejected }, said)
    },

    revoking({ kind, agent, name, connection }, evidence) {
      try {
        return kind === 'access'
          ? revoking({ kind, agent, connection }, evidence)
          : revoking({ kind, policy: name, connection }, evidence)
      } catch (error) {
        // A rule that the evidence hasn't whole: people take it out of the folder.
        if (error instanceof NoPolicyForRule) return undefined
        throw error
      }
    },

    async reviewersAt(tx, { plan }, item, stage) {
      const { row } = item
      const { summary } = await tx
        .selectFrom('campaign_items')
        .select('summary')
        .where('id', '=', row.id)
        .executeTakeFirstOrThrow()
      const { sponsor, owner } = JSON.parse(summary) as Pick<CampaignItem, 'sponsor' | 'owner'>
      const entry = row.agent === '' ? undefined : registry.entry(row.agent)
      const cut = row.agent.indexOf('#')
      const agent = {
        ...{ id: row.agent, issuer: row.agent.slice(0, Math.max(cut, 0)), subject: row.agent.slice(cut + 1) },
        ...{ actsFor: entry?.actsFor ?? [], name: entry?.identity?.name ?? row.name },
      }
      const known = reviewersKnown(registry)
      const earlier = await earlierDeciders(tx, item, known.all)
      const another = <T extends { id: string }>(people: readonly T[]) => people.filter(({ id }) => !earlier.has(id))
      const people = { all: another(known.all), named: (name: string) => another(known.named(name)) }
      const { ids, reviewers } = askedBy(
        plan.stages[stage]!.reviewers,
        { sponsor, owner, ...(row.agent !== '' && { agent }) },
        people,
      )
      return { people: ids, reviewers }
    },
  }
}
