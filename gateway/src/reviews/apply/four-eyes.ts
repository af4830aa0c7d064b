import type { AgentRef, PersonRef } from '@countersign/contract/identity'
import { ownBecause, type SponsorsOf } from '../../approvals/own.ts'
import { knownBy } from '../../approvals/same-person.ts'
import type { PersonPrincipal } from '../../identity/principal.ts'
import type { AgentEntry } from '../../identity/registry/agent-entry.ts'
import { OverlayRefused } from './refused.ts'
import type { OverlayRow, Tx } from './rows.ts'

/** Who may change what an overlay does: admins, and never one person alone. */

/** @throws OverlayRefused */
export function mustBeAdmin({ roles }: PersonPrincipal, what: string): void {
  if (!roles.includes('admin')) throw new OverlayRefused('forbidden', `Overlays are ${what} by admins.`)
}

/**
 * Who applies an overlay has neither decided what it carries out nor proposed it, by whatever sign-in of theirs. Where the
 * campaign decided by its default, that was chosen by who made and who started it.
 * @throws OverlayRefused
 */
export async function mustBeAnother(tx: Tx, person: PersonPrincipal, row: OverlayRow): Promise<void> {
  const before = await decidersOf(tx, row)
  const key = await knownBy(tx, [person.id, ...before.map(({ ref }) => ref.id)])
  const same = before.find(({ ref }) => key(ref) === key(person))
  if (same)
    throw new OverlayRefused(
      'forbidden',
      `It takes two people: it was you who ${same.did}. Have another admin apply it.`,
    )
}

/** A second person says that it is rolled back. @throws OverlayRefused */
export async function mustBeSecond(tx: Tx, person: PersonPrincipal, first: PersonRef): Promise<void> {
  const key = await knownBy(tx, [person.id, first.id])
  if (key(first) === key(person))
    throw new OverlayRefused(
      'forbidden',
      'It takes two people: it was you who asked for it. Have another admin say it.',
    )
}

/** What gives an agent more is not said by who answers for it, or for whom it acts. @throws OverlayRefused */
export function mustNotBeOwn(
  person: PersonPrincipal,
  agent: string,
  known: { entry: (agent: string) => AgentEntry | undefined; sponsorsOf: SponsorsOf },
): void {
  if (agent === '') return
  const entry = known.entry(agent)
  const cut = agent.indexOf('#')
  const identity: AgentRef = {
    id: agent,
    issuer: entry?.issuer ?? agent.slice(0, Math.max(cut, 0)),
    subject: entry?.subject ?? agent.slice(cut + 1),
    name: entry?.identity?.name ?? agent,
    groups: [],
    ...(entry?.identity?.owner !== undefined && { owner: entry.identity.owner }),
    chain: [...(entry?.actsFor ?? [])],
  }
  const because = ownBecause(person, { identity }, known.sponsorsOf)
  if (because !== undefined)
    throw new OverlayRefused(
      'forbidden',
      `Nobody gives back what was taken from an agent of theirs: ${because.replace('you are the agent that asks', 'you are the agent')}.`,
    )
}

async function decidersOf(tx: Tx, row: OverlayRow): Promise<{ ref: PersonRef; did: string }[]> {
  const found: { ref: PersonRef; did: string }[] = []
  const add = (json: string | null, did: string) => {
    if (json !== null) found.push({ ref: JSON.parse(json) as PersonRef, did })
  }
  add(row.proposed_by, 'proposed it')
  const decisions =
    row.item === null
      ? []
      : await tx.selectFrom('item_decisions').select(['by', 'in_place_of']).where('item', '=', row.item).execute()
  for (const { by, in_place_of } of decisions) {
    add(by, 'decided it')
    add(in_place_of, 'had it decided in your place')
  }
  if (row.proposed_by === null && row.campaign !== null) {
    const campaign = await tx
      .selectFrom('campaigns')
      .select(['created_by', 'started_by', 'owner'])
      .where('id', '=', row.campaign)
      .executeTakeFirst()
    add(campaign?.created_by ?? null, 'made the campaign, and chose what becomes of what nobody decides')
    add(campaign?.started_by ?? null, 'started the campaign, and with it what becomes of what nobody decides')
    // One that begins by itself is made and started by nobody: by whose template it did.
    const owner = campaign?.owner ?? null
    if (owner !== null)
      found.push({
        ref: { id: owner, issuer: '', subject: '', name: owner },
        did: 'have the campaign, or its template, and chose what becomes of what nobody decides',
      })
  }
  return found
}
