import type { Manifest } from './bundle.ts'
import type { CampaignPart, CampaignSeen } from './bundle-campaign.ts'
import type { Checkpoint } from './checkpoint.ts'
import type { Finding, Outcome } from './findings.ts'

/** `file`: the archive itself. The others are what people know a bundle to have. */
export type PartKind =
  | 'file'
  | 'manifest'
  | 'checkpoint'
  | 'earlier'
  | 'policy'
  | 'entries'
  | 'decisions'
  | CampaignPart
  | `recording ${string}`

export interface Part {
  part: PartKind
  /** `erased`: gone, and a deletion entry in the bundle says so. `unread`: what was wrong before it kept it from being looked at. */
  state: 'whole' | 'incomplete' | 'broken' | 'erased' | 'cant-tell' | 'unread'
  text: string
}

export interface BundleReport {
  outcome: Outcome
  /** The first hundred of each kind; the first is the first place that is wrong. */
  findings: Finding[]
  counts: { integrity: number; completeness: number }
  parts: Part[]
  /** Believe it as far as `outcome` goes. */
  manifest?: Manifest
  checkpoint?: Checkpoint
  /** The signed checkpoint as it stands in the bundle. */
  checkpointNote?: string
  signedBy: string[]
  cosignedBy: string[]
  /** Of a campaign: what its entries say. Believe it as far as `outcome` goes. */
  campaign?: CampaignSeen
}

/** The parts of a bundle, each with what was found of it. */
export function partsOf(
  manifest: Manifest | undefined,
  seen: {
    bad: ReadonlyMap<PartKind, 'broken' | 'incomplete'>
    finished: boolean
    trusted: boolean
    campaign?: CampaignSeen
  },
): Part[] {
  const { bad, finished, trusted, campaign } = seen
  const parts: Part[] = []
  const add = (part: PartKind, text: string) =>
    parts.push({ part, state: bad.get(part) ?? (!finished ? 'unread' : trusted ? 'whole' : 'cant-tell'), text })
  if (bad.has('file') || !manifest) add('file', 'the file is not a bundle as it was written')
  if (!manifest) return parts
  const erased = manifest.entries.filter(({ erasedBy }) => erasedBy !== undefined).length
  add('manifest', `${manifest.members.length} members, made at ${manifest.madeAt}`)
  add('checkpoint', `${manifest.origin}, ${manifest.size} entries`)
  if (manifest.earlier.length > 0) add('earlier', `${manifest.earlier.length} earlier checkpoints`)
  if (manifest.policy) add('policy', `policy version ${manifest.policy.version}`)
  add('entries', `${manifest.entries.length} audit entries${erased > 0 ? `, ${erased} of them erased` : ''}`)
  if (campaign) for (const [part, text] of campaignTexts(manifest, campaign)) add(part, text)
  if (!campaign || manifest.decisions.length > 0)
    add('decisions', `${manifest.decisions.length} decisions by ${manifest.people.length} people`)
  for (const { session, bytes, erasedBy, open } of manifest.recordings) {
    const part = `recording ${session}` as const
    if (erasedBy !== undefined && finished && !bad.has(part))
      parts.push({ part, state: 'erased', text: `erased, by deletion entry #${erasedBy}` })
    else add(part, `${bytes} bytes${open ? '; the session was still open when this was made' : ''}`)
  }
  return parts
}

/** What of a campaign was held against entries, in words. */
function campaignTexts(manifest: Manifest, { head, evidence, policies }: CampaignSeen): [CampaignPart, string][] {
  const texts: [CampaignPart, string][] = []
  if (policies > 0) texts.push(['policies', `${things(policies, 'policy version')} with all files`])
  texts.push(['evidence', `${things(evidence, 'evidence document')}, as the ledger has the hashes`])
  if (!head) return [...texts, ['items', things(manifest.items?.length ?? 0, 'item')]]
  const { counts, closed, state, title, exceptions, signOffs } = head
  const { undecided, decisions, overlays, applications, comments, moves } = counts
  const applied = (Object.entries(applications) as [string, number][])
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${count} ${name}`)
  texts.push(
    [
      'items',
      `${things(counts.items, 'item')}, ${undecided} undecided; ${things(decisions, 'decision')}, ${things(comments, 'comment')}, ${things(moves, 'move')}; ${things(overlays, 'overlay')}${applied.length > 0 ? ` (${applied.join(', ')})` : ''}`,
    ],
    [
      'campaign',
      `${title}: ${closed ? `closed ${closed.at}` : state}, ${things(signOffs.length, 'sign-off')}; ${things(
        exceptions.reduce((sum, { count }) => sum + count, 0),
        'open exception',
      )}`,
    ],
    ['report', 'signed with the rest; a reading aid that verification does not read'],
  )
  return texts
}

const things = (count: number, name: string) => `${count} ${name}${count === 1 ? '' : 's'}`
