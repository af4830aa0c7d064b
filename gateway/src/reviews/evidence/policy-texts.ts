import * as cedar from '@cedar-policy/cedar-wasm/nodejs'
import { blankComments, lineAt, splitPolicies } from '../../policy/cedar-text.ts'
import { mentionsIn } from '../../policy/permitted/mentioned.ts'
import type { Policies } from '../../policy/policy.ts'

/** A policy as people are shown it. */
export interface PolicyText {
  policy: string
  file: string
  effect: 'permit' | 'forbid'
  text: string
  reason?: string
  /** Groups that it names, as the one who asks or somewhere in a condition. */
  groups: ReadonlySet<string>
  json: cedar.PolicyJson
}

const kept = new WeakMap<object, ReadonlyMap<string, PolicyText>>()

/** The policies of a set by their ids; read once. */
export function policyTexts(policies: Pick<Policies, 'list' | 'texts'>): ReadonlyMap<string, PolicyText> {
  let found = kept.get(policies)
  if (!found) {
    found = read(policies)
    kept.set(policies, found)
  }
  return found
}

function read({ list, texts }: Pick<Policies, 'list' | 'texts'>): ReadonlyMap<string, PolicyText> {
  const byPlace = new Map(list.map((one) => [`${one.line} ${one.file}`, one]))
  const found = new Map<string, PolicyText>()
  for (const { file, text } of texts) {
    const blanked = blankComments(text)
    // Two on one line are told in the order in which they stand there.
    const onLine = Map.groupBy(splitPolicies(blanked), ({ start }) => lineAt(blanked, start))
    for (const [line, parts] of onLine) {
      const mine =
        parts.length === 1
          ? [byPlace.get(`${line} ${file}`)]
          : list.filter((one) => one.file === file && one.line === line)
      for (const [index, part] of parts.entries()) {
        const loaded = mine[index]
        const parsed = cedar.policyToJson(part.text)
        if (!loaded || parsed.type === 'failure') continue
        const { id, effect, reason } = loaded
        const groups = mentionsIn([parsed.json]).groups
        found.set(id, {
          policy: id,
          file,
          effect,
          text: part.text,
          ...(reason !== undefined && { reason }),
          groups,
          json: parsed.json,
        })
      }
    }
  }
  return found
}
