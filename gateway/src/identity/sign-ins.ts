import type { PayloadInput } from '@countersign/contract/ledger/payloads'
import type { Kysely } from 'kysely'
import type { BaseLogger } from 'pino'
import { appendAudit } from '../store/audit.ts'
import type { Tables } from '../store/tables.ts'
import { agentRef, type Principal, type TokenFault } from './principal.ts'

export interface SignIn {
  via: 'api' | 'postgres' | 'ssh' | 'token'
  /** IP address of the client. */
  address: string
  who?: Principal
  connection?: string
}

/** Who signed in and who was refused, for the ledger. Quick, never throws. A token's text is never told to it. */
export interface SignIns {
  /** Somebody was let in. To be called once per token, not per request. */
  ok(signIn: SignIn & { who: Principal }): void
  /** Somebody was refused. `reason` is one of few texts, none of which the one who was refused can choose. */
  refused(signIn: SignIn & { reason: string }): void
}

export interface SignInLog extends SignIns, AsyncDisposable {
  /** Writes down what was told so far. */
  flush(): Promise<void>
}

/** What is told within this time is written together: refusals of one address and reason as one entry with a `count`. */
const togetherMs = { ok: 250, refused: 30_000 }
/** So many kinds of refusal at a time have an entry of their own; those of further addresses are counted together. */
export const MOST_KINDS = 64
/** So many that were let in wait to be written at most, and are written at once when there is a tenth of it. */
export const MOST_WAITING = 10_000

type Payload = PayloadInput<'sign-in'> & { count?: number }

/**
 * Writes sign-ins for the ledger. However many are refused, little is written: a flood costs its sender more than us.
 * What was refused in the last half minute before a kill isn't written.
 */
export function createSignInLog(options: {
  db: Kysely<Tables>
  log: Pick<BaseLogger, 'error'>
  togetherMs?: Partial<typeof togetherMs>
}): SignInLog {
  const { db, log } = options
  const wait = { ...togetherMs, ...options.togetherMs }
  const waiting: { at: Date; payload: Payload }[] = []
  const refusals = new Map<string, { at: Date; payload: Payload; count: number }>()
  let writing: Promise<void> = Promise.resolve()
  const timers: { ok?: NodeJS.Timeout | undefined; refused?: NodeJS.Timeout | undefined } = {}

  const flush = (...which: ('ok' | 'refused')[]) => {
    for (const one of which) {
      clearTimeout(timers[one])
      timers[one] = undefined
    }
    writing = writing
      .then(() => write(which))
      .catch((error) => log.error({ error }, 'sign-ins could not be written down'))
    return writing
  }
  const write = async (which: ('ok' | 'refused')[]) => {
    const all: typeof waiting = []
    if (which.includes('ok')) all.push(...waiting.splice(0))
    if (which.includes('refused')) {
      for (const { at, payload, count } of refusals.values()) all.push({ at, payload: { ...payload, count } })
      refusals.clear()
    }
    if (all.length === 0) return
    await db.transaction().execute(async (tx) => {
      for (const { at, payload } of all) await appendAudit(tx, 'sign-in', payload, at)
    })
  }
  /** Those who are let in must not have refusals written sooner: they would be counted less. */
  const flushLater = (which: 'ok' | 'refused') => {
    timers[which] ??= setTimeout(() => void flush(which), wait[which]).unref()
  }
  const flushAll = () => flush('ok', 'refused')

  return {
    flush: flushAll,
    ok(signIn) {
      if (waiting.length >= MOST_WAITING) return log.error({}, 'the store takes no sign-ins: one is not in the ledger')
      waiting.push({ at: new Date(), payload: { outcome: 'ok', ...told(signIn) } })
      if (waiting.length % (MOST_WAITING / 10) === 0) void flush('ok')
      else flushLater('ok')
    },
    refused({ reason, ...signIn }) {
      let key = JSON.stringify([signIn.via, signIn.address, signIn.who?.id, signIn.connection, reason])
      let payload: Payload = { outcome: 'refused', ...told(signIn), reason }
      if (!refusals.has(key) && refusals.size >= MOST_KINDS) {
        key = JSON.stringify([signIn.via, reason])
        payload = { outcome: 'refused', via: signIn.via, address: 'further ones', reason }
      }
      const known = refusals.get(key)
      if (known) known.count++
      else refusals.set(key, { at: new Date(), payload, count: 1 })
      flushLater('refused')
    },
    [Symbol.asyncDispose]: flushAll,
  }
}

function told({ via, address, who, connection }: SignIn) {
  return {
    via,
    address,
    ...(who === undefined ? {} : { who: actorOf(who) }),
    ...(connection === undefined ? {} : { connection }),
  }
}

/** Who somebody is, without what their token said beyond it. */
function actorOf(who: Principal): NonNullable<Payload['who']> {
  const { id, issuer, subject, name } = who
  if (who.kind === 'person') return { kind: 'person', id, issuer, subject, name }
  return { kind: 'agent', ...agentRef(who) }
}

const because: Record<TokenFault, string> = {
  malformed: 'what was presented is no token',
  algorithm: 'the token is signed by an algorithm that is not accepted',
  issuer: 'the token is of an issuer that is not trusted',
  audience: 'the token is for somebody else',
  signature: 'the token’s signature is wrong',
  expired: 'the token has expired',
  'not-yet-valid': 'the token is not valid yet',
  subject: 'the token does not say whose it is',
  replayed: 'the token was presented before, and may be once only',
  unknown: 'the token is none of this gateway’s',
  revoked: 'the token was revoked',
  'issuer-unreachable': 'the token could not be checked: its issuer does not answer',
}

/** A token's fault, in words that nobody who presents one can choose. */
export const refusedBecause = (fault: TokenFault): string => because[fault]
