import type { Doer } from '@countersign/contract/access'
import type { Approval } from '@countersign/contract/approval'
import type { AgentRef } from '@countersign/contract/identity'

/** A person as a request may name them. */
export interface Named {
  id: string
  issuer: string
  subject: string
  name: string
  email?: string
}

/** What of an approval says whose it is. */
export type Request = Pick<Approval, 'identity'> & {
  access?: { requestedBy: Doer; agents?: AgentRef[] | undefined } | undefined
}

/** Sponsors and owners of an agent, as the registry has them: ids, e-mail addresses, subjects or names. */
export type SponsorsOf = (agent: string) => readonly string[]

/**
 * Whether a request is a person's own: made by an agent that is them, that they own or sponsor, or that acts for them,
 * or asked for by them or by an agent of theirs. Answers why, in words, or undefined.
 *
 * What is compared with what (docs/access.md, Four eyes):
 * - where both sides are qualified by an issuer, the ids alone tell: the same subject of two issuers is two;
 * - where both sides have an e-mail address, the addresses tell;
 * - a claim that names a person (owner, sponsor, on whose behalf, an actor before) and isn't qualified may be a subject,
 *   an address or a name, by whatever its issuer chose: any likeness counts. A wrong refusal costs a colleague's minute,
 *   a wrong pass the control. Where it is the name alone, the words say how to make it precise;
 * - what an agent is called names no person: only its id, its subject and an e-mail address do.
 */
export function ownBecause(person: Named, { identity, access }: Request, sponsorsOf: SponsorsOf): string | undefined {
  const asker = access?.requestedBy
  if (asker?.kind === 'person' && sameId(asker.id, person.id)) return 'it was you who asked for it'
  const agents = [identity, ...(access?.agents ?? [])]
  for (const agent of agents) {
    if (isSelf(person, agent)) return 'you are the agent that asks'
    const because =
      likeOneOf(person, 'its owner', [agent.owner], agent.issuer) ??
      likeOneOf(person, 'the one it acts for', [agent.onBehalfOf, ...(agent.chain ?? [])], agent.issuer) ??
      likeOneOf(person, 'its sponsor or owner', sponsorsOf(agent.id), agent.issuer)
    if (because !== undefined) return because
  }
  if (asker?.kind !== 'agent' || agents.some(({ id }) => id === asker.id)) return undefined
  const { issuer, subject } = parts(asker.id)
  if (isSelf(person, { id: asker.id, subject, name: asker.name })) return 'you are the agent that asked for it'
  return likeOneOf(person, 'sponsor or owner of the agent that asked for it', sponsorsOf(asker.id), issuer)
}

function likeOneOf(
  person: Named,
  relation: string,
  claims: readonly (string | undefined)[],
  agentsIssuer: string,
): string | undefined {
  for (const claim of claims) {
    const likeness = claim === undefined ? undefined : likenessOf(person, claim, agentsIssuer)
    if (likeness === 'same') return `you are ${relation}`
    if (likeness === 'name')
      return `somebody called ${JSON.stringify(claim)}, as you are, is ${relation}: where that is somebody else, have them named there by e-mail or id`
  }
  return undefined
}

/** A person's token, used as an agent's: by id, by its subject, or by an address where one stands. */
function isSelf(person: Named, agent: { id: string; subject: string; name: string }): boolean {
  if (sameId(agent.id, person.id)) return true
  const mine = [person.subject, person.email].map(folded).filter((one) => one !== '')
  if (mine.includes(folded(agent.subject))) return true
  const address = folded(person.email)
  return address !== '' && folded(agent.name) === address
}

function likenessOf(person: Named, claim: string, agentsIssuer: string): 'same' | 'name' | undefined {
  const text = folded(claim)
  if (text === '') return undefined
  const { issuer, subject } = parts(text)
  if (issuer !== '') {
    if (sameId(text, person.id)) return 'same'
    // An agents' issuer that qualifies what it says by itself: nobody can sign in as that, so the subject tells.
    const own = issuer === folded(agentsIssuer) && issuer !== folded(person.issuer)
    return own && subject !== '' ? likenessOf(person, subject, '') : undefined
  }
  if (subject === '') return undefined
  if (subject === folded(person.subject)) return 'same'
  const mine = addressOf(person.email)
  const theirs = addressOf(subject)
  if (mine && theirs) return mine.whole === theirs.whole ? 'same' : undefined
  // One side has an address only: what stands before the @ is most often what the other side calls them.
  if (mine && mine.local === subject) return 'same'
  if (theirs && (theirs.local === folded(person.subject) || subject === folded(person.name))) return 'same'
  return subject === folded(person.name) ? 'name' : undefined
}

/** `ISSUER#SUBJECT` in its parts; the issuer, a URI without a fragment, is empty where there is none. */
function parts(id: string): { id: string; issuer: string; subject: string } {
  const [, issuer = '', subject = id] = /^([^#]*:[^#]*)#(.*)$/s.exec(id) ?? /^()#(.*)$/s.exec(id) ?? []
  return { id, issuer, subject }
}

function addressOf(text: string | undefined): { whole: string; local: string } | undefined {
  const whole = folded(text)
  const at = whole.lastIndexOf('@')
  return at > 0 && at < whole.length - 1 ? { whole, local: whole.slice(0, at) } : undefined
}

function sameId(one: string, other: string): boolean {
  return folded(one) === folded(other)
}

/** As people mean it: without regard to case, width or blanks around. */
function folded(text: string | undefined): string {
  return (text ?? '')
    .normalize('NFKC')
    .trim()
    .toLowerCase()
    .replace(/^mailto:/, '')
}
