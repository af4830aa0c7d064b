import { STATUS_CODES } from 'node:http'
import { listOf, Problem } from '@countersign/contract/api'
import type { z } from 'zod'
import { CliError, exits, refused } from '../errors.ts'
import { shown } from '../terminal/text.ts'
import { type Answered, type Asked, createSender, type Sender } from './request.ts'

/** Whose token goes with a call. */
export interface Caller {
  kind: 'person' | 'agent'
  /** @throws CliError where there is none */
  token(): Promise<string>
  /** The one that was given is good no longer: the next is to be a new one. */
  renew(): void
}

/** A page of a list as the API answers it. */
export interface Page<T> {
  items: T[]
  next: string | null
}

export type Query = Record<string, string | number | undefined>

/** Calls of one gateway. What they answer has been checked; members that this version doesn't know are kept. */
export interface Gateway extends Sender {
  /** @throws CliError with one sentence that says what to do next */
  get<S extends z.ZodType>(schema: S, path: string, query?: Query): Promise<z.output<S>>
  post<S extends z.ZodType>(
    schema: S,
    path: string,
    body: unknown,
    method?: 'POST' | 'PATCH' | 'PUT',
  ): Promise<z.output<S>>
  /** One page, or, where `all` is asked for, every page as one. */
  list<S extends z.ZodType>(
    item: S,
    path: string,
    query: Query & { limit?: number | undefined },
    all?: boolean,
  ): Promise<Page<z.output<S>>>
  /** Like get and post, without a check of the status: for whoever wants to say more about a refusal. */
  ask(path: string, asked?: Asked): Promise<Answered>
  readonly caller: Caller
}

/** A refusal of the gateway's, with the problem it gave (RFC 9457) and its members. */
export class Refusal extends CliError {
  override name = 'Refusal'
  readonly status: number
  readonly problem: Record<string, unknown>
  constructor(status: number, problem: Record<string, unknown>, message: string) {
    super(status === 401 ? exits.notSignedIn : exits.refused, message)
    this.status = status
    this.problem = problem
  }
}

/** @param ca PEM of a certificate to trust besides this machine's */
export function createGateway(base: URL, ca: string | undefined, caller: Caller): Gateway {
  const sender = createSender(base, ca)
  const ask = async (path: string, asked: Asked = {}) => sender.send(path, { token: await caller.token(), ...asked })
  const call = async <S extends z.ZodType>(schema: S, path: string, asked: Asked): Promise<z.output<S>> =>
    understood(schema, path, expectGood(await ask(path, asked), caller.kind))
  const get = <S extends z.ZodType>(schema: S, path: string, query: Query = {}) =>
    call(schema, `${path}${queryText(query)}`, {})
  return {
    ...sender,
    caller,
    ask,
    get,
    post: (schema, path, body, method = 'POST') => call(schema, path, { method, body }),
    async list(item, path, query, all = false) {
      if (!all) return get(listOf(item), path, query)
      const items: z.output<typeof item>[] = []
      let after: string | undefined
      do {
        const page = await get(listOf(item), path, { ...query, limit: 1000, after })
        items.push(...page.items)
        after = page.next ?? undefined
      } while (after !== undefined)
      return { items, next: null }
    },
  }
}

/** A call that needs no token. */
export async function getOpenly<S extends z.ZodType>(sender: Sender, schema: S, path: string): Promise<z.output<S>> {
  return understood(schema, path, expectGood(await sender.send(path), 'person'))
}

/** The body of an answer that is no error. @throws Refusal */
export function expectGood(answer: Answered, kind: Caller['kind']): unknown {
  const { status, body } = answer
  if (status >= 200 && status < 300) return body
  const problem = Problem.loose().safeParse(body)
  const given = problem.success ? problem.data : {}
  const words = problem.success
    ? sentenceOf(problem.data.detail ?? problem.data.title)
    : `the gateway answered ${status} ${STATUS_CODES[status] ?? ''}`.trim()
  if (status === 401)
    throw new Refusal(
      status,
      given,
      kind === 'person'
        ? 'the gateway takes your sign-in no longer: countersign login'
        : 'the gateway does not take the agent’s token: get a new one from its issuer',
    )
  const wait = answer.headers['retry-after']
  const next: Record<number, string> = {
    404: problem.success ? '' : 'is that a Countersign gateway of this version?',
    429: wait ? `try again in ${shown(wait)} s` : 'try again shortly',
    503: 'try again shortly',
  }
  const more = next[status] && !words.includes(next[status]) ? `; ${next[status]}` : ''
  throw new Refusal(status, given, `${words}${more}`)
}

/** Checks an answer, and gives it as it came: members that the schema doesn't know are not lost. */
function understood<S extends z.ZodType>(schema: S, path: string, body: unknown): z.output<S> {
  const parsed = schema.safeParse(body)
  if (parsed.success) return body as z.output<S>
  const where = parsed.error.issues[0]
  throw refused(
    `the gateway's answer to ${path.split('?')[0]} is not what this version understands (${shown(`${where?.path.join('.')}: ${where?.message}`)}): one of the two needs an update`,
  )
}

export const segment = (id: string): string => encodeURIComponent(id)

/** A sentence of the gateway's as part of ours: without the capital and the full stop, and safe to show. */
export function sentenceOf(detail: string): string {
  const text = shown(detail.trim().replace(/\.$/, ''))
  return /^[A-Z][a-z]/.test(text) ? text.charAt(0).toLowerCase() + text.slice(1) : text
}

function queryText(given: Query): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(given))
    if (value !== undefined && value !== '') query.set(name, String(value))
  const written = query.toString()
  return written && `?${written}`
}
