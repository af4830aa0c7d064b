import type { Approval } from '@countersign/contract/approval'
import type { Duty, PersonPrincipal } from '../identity/principal.ts'
import type { Vote } from './quorum.ts'
import type { Tx } from './transitions.ts'

/** By what somebody is known: the e-mail address, where there is one, and else the id. */
export type KnownBy = (person: { id: string; email?: string }) => string

/**
 * Tells sign-ins of one person by several issuers: the same e-mail address is the same person. Those of people who have
 * signed in are as the registry has them; who has none is told by the id alone.
 * @param ids of everybody who is asked about without an address
 */
export async function knownBy(tx: Tx, ids: Iterable<string>): Promise<KnownBy> {
  const all = [...new Set(ids)]
  const rows =
    all.length === 0 ? [] : await tx.selectFrom('people').select(['id', 'email']).where('id', 'in', all).execute()
  const addresses = new Map(rows.map(({ id, email }) => [id, folded(email)]))
  return ({ id, email }) => folded(email) || addresses.get(id) || id
}

/** What else a person has to do with an approval, by another sign-in of theirs: why they don't decide it, and for whom. */
export async function elsewhere(
  tx: Tx,
  person: PersonPrincipal,
  { decisions, access }: Pick<Approval, 'decisions' | 'access'>,
  votes: readonly Vote[],
  duties: readonly Duty[],
): Promise<{ forbidden?: string; conflict?: string; duties: Duty[] }> {
  const placed = votes.flatMap((vote) => (vote.inPlaceOf ?? []).map(({ id }) => ({ id, by: vote.name })))
  const asker = access?.requestedBy.kind === 'person' ? access.requestedBy : undefined
  const ids = [
    ...decisions.map(({ personId }) => personId),
    ...placed.map(({ id }) => id),
    ...(asker ? [asker.id] : []),
  ]
  const key = await knownBy(tx, ids)
  const me = key(person)
  /** The same person, by another id: by the same one they are counted once as it is. */
  const other = (one: { id: string }, than: { id: string; email?: string }) =>
    one.id !== than.id && key(one) === key(than)
  if (asker && other(asker, person)) return { forbidden: `${itIsYou(asker)} who asked for it`, duties: [] }
  const voted = decisions.map(({ personId: id, person: name }) => ({ id, name }))
  const mine = voted.find((one) => other(one, person))
  if (mine) return { conflict: `${itIsYou(mine)} who has decided already: everybody decides once`, duties: [] }
  const stoodIn = placed.find((one) => other(one, person))
  if (stoodIn) return { conflict: `${stoodIn.by} has decided in your place already`, duties: [] }
  return {
    duties: duties.filter(
      ({ from }) =>
        key(from) !== me &&
        !(asker && other(asker, from)) &&
        !voted.some((one) => other(one, from)) &&
        !placed.some((one) => other(one, from)),
    ),
  }
}

const itIsYou = ({ id }: { id: string }) => `it is you, signed in as ${id} with the same e-mail address,`

const folded = (email: string | null | undefined): string =>
  (email ?? '')
    .normalize('NFKC')
    .trim()
    .toLowerCase()
    .replace(/^mailto:/, '')
