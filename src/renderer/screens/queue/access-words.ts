import type { Approval } from '@countersign/contract/approval'
import { span } from '../../../span.ts'
import { hiddenCount, mixedWords } from '../../../visible.ts'
import type { Asked } from '../../app/access.ts'
import type { Tone } from '../../parts/basics.tsx'
import { clock } from '../../parts/time.ts'

/** What is out of the ordinary about a request for access, from what is really known: never guessed. */
export function unusualAccess(approval: Approval, asked: Asked | undefined): { tone: Tone; text: string }[] {
  const found: { tone: Tone; text: string }[] = []
  const said = new Set<string>()
  const add = (tone: Tone, text: string) => {
    if (said.has(text)) return
    said.add(text)
    found.push({ tone, text })
  }
  for (const text of trickery(approval, asked)) add('danger', text)
  const items = asked?.items ?? []
  const grants = new Set(items.map(({ grant }) => grant.id))
  for (const { grant, before, extended } of items) {
    const step = items.length > 1 && grant.step ? `step ${grant.step.number}: ` : ''
    if (extended) {
      const until = extended.endedAt ?? extended.expiresAt
      add('plain', `${step}prolongs access ${until ? `until ${clock(until)}` : 'that it has'}`)
    } else if (before.given === 0)
      add(
        'warn',
        `${step}first access of ${grant.identity.name} to ${grant.connection}${asked!.seesAll ? '' : ' that you can see'}`,
      )
    if (before.given > 0 && grant.seconds > before.longest)
      add('warn', `${step}longer than any before, ${span(before.longest)}`)
    const fresh = before.given > 0 ? grant.actions.filter((action) => !before.actions.includes(action)) : []
    if (fresh.length > 0) add('warn', `${step}never had ${fresh.join(', ')} there`)
    if (before.denied > 0)
      add('warn', `${step}${before.denied} such request${before.denied === 1 ? '' : 's'} denied before`)
    if (!grant.resources && grant.actions.some((action) => !/:(read|get|list|watch)$/.test(action)))
      add('warn', `${step}names no resources: all of ${grant.connection}`)
  }
  if (approval.access?.requestedBy.kind === 'person') add('plain', 'asked for by a person')
  if ((approval.access?.grants.length ?? 0) > grants.size && asked) add('danger', 'not all of it can be shown above')
  return found
}

/** What in the words of others could mislead. */
function trickery(approval: Approval, asked: Asked | undefined): string[] {
  const texts = [
    approval.purpose ?? '',
    approval.access?.title ?? '',
    ...(asked?.items ?? []).flatMap(({ grant }) => [grant.step?.title ?? '', ...(grant.resources ?? [])]),
  ]
  const hidden = texts.reduce((sum, text) => sum + hiddenCount(text), 0)
  const mixed = [...new Set(texts.flatMap((text) => mixedWords(text)))]
  return [
    ...(hidden > 0 ? [`${hidden} hidden character${hidden === 1 ? '' : 's'}, marked here`] : []),
    ...(mixed.length > 0 ? [`look-alike letters in ${mixed.slice(0, 3).join(', ')}`] : []),
  ]
}
