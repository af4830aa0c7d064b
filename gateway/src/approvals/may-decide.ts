import type { Approval } from '@countersign/contract/approval'
import type { AgentRef } from '@countersign/contract/identity'
import type { PersonPrincipal } from '../identity/principal.ts'

/**
 * Whether a person may decide an approval, whatever its state: true, or the reason why not in words.
 * Four eyes (contract.md section 7): an approver, of a group that is asked, and not the one who asks.
 */
export function mayDecide(
  person: PersonPrincipal,
  approval: Pick<Approval, 'identity' | 'requirements' | 'access'>,
): true | string {
  if (!person.roles.includes('approver')) return 'only approvers decide'
  const groups = [...new Set(approval.requirements.flatMap((requirement) => requirement.groups))]
  if (!groups.some((group) => person.groups.includes(group)))
    return `you are in none of the groups that may decide: ${groups.join(', ')}`
  const { access } = approval
  if (access?.requestedBy.kind === 'person' && access.requestedBy.id === person.id)
    return 'nobody decides what they have asked for themselves'
  if ([approval.identity, ...(access?.agents ?? [])].some((agent) => isOwn(person, agent)))
    return 'nobody decides their own request, nor that of an agent that is theirs'
  return true
}

/**
 * Whether an agent is the person, theirs, or acts for them. Claims name people by subject, name or e-mail, by whatever
 * the issuer chose: any likeness counts, since a wrong refusal costs a colleague's minute and a wrong pass the control.
 */
function isOwn(person: PersonPrincipal, agent: AgentRef & { sponsor?: string }): boolean {
  const mine = names([person.id, person.subject, person.name, person.email])
  const theirs = names([agent.id, agent.subject, agent.name, agent.owner, agent.onBehalfOf, agent.sponsor])
  for (const name of theirs) if (mine.has(name)) return true
  return false
}

function names(claims: (string | undefined)[]): Set<string> {
  const found = new Set<string>()
  for (const claim of claims) {
    if (claim === undefined) continue
    const name = claim
      .normalize('NFKC')
      .trim()
      .toLowerCase()
      .replace(/^mailto:/, '')
    if (name !== '') found.add(name)
    // ISSUER#SUBJECT names the subject too; an issuer's URL has no fragment of its own
    const subject = name.slice(name.lastIndexOf('#') + 1)
    if (subject !== '') found.add(subject)
  }
  return found
}
