import { PersonRecord } from '@countersign/contract/access'
import { misuse } from '../errors.ts'
import type { Gateway } from '../gateway/gateway.ts'
import { shown } from '../terminal/text.ts'

/** The id of a person who is named otherwise. Of two that fit neither is guessed. */
export async function personOf(gateway: Gateway, named: string): Promise<string> {
  if (named.includes('#')) return named
  const { items } = await gateway.list(PersonRecord, '/v1/people', {}, true)
  const wanted = named.toLowerCase()
  const found = items.filter(({ email, subject, name }) =>
    [email, subject, name].some((one) => one?.toLowerCase() === wanted),
  )
  if (found.length === 1) return found[0]!.id
  throw misuse(
    found.length === 0
      ? `nobody who has signed in is called ${shown(named)}: give the id, ISSUER#SUBJECT`
      : `${shown(named)} may be ${found.map(({ id }) => shown(id)).join(' or ')}: give the id`,
  )
}
