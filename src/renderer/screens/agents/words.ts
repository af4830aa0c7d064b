import type { AgentRecord } from '@countersign/contract/access'

/** Why nobody answers for an agent, in words. */
export function orphanWords({ orphan, sponsor, sponsorName }: AgentRecord): string | undefined {
  if (orphan === undefined) return undefined
  const who = sponsorName ?? sponsor ?? 'The sponsor'
  if (orphan === 'sponsor-left') return `${who} has left`
  if (orphan === 'sponsor-unknown') return `${who} has never signed in`
  return 'no sponsor was named'
}

/** ISSUER#SUBJECT → SUBJECT; anything else as it is. */
export function subjectOf(id: string): string {
  const at = id.lastIndexOf('#')
  return at > 0 && at < id.length - 1 ? id.slice(at + 1) : id
}

/** Who is meant by what the registry was told, as short as can be. */
export const sponsorWords = ({ sponsor, sponsorName }: AgentRecord): string | undefined =>
  sponsorName ?? (sponsor === undefined ? undefined : subjectOf(sponsor))
