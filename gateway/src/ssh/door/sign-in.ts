import type { Logger } from 'pino'
import { type AgentPrincipal, type Identity, TokenError } from '../../identity/principal.ts'
import { refusedBecause, type SignIns } from '../../identity/sign-ins.ts'
import type { AuthContext, Connection, KeyboardAuthContext } from '../transport/ssh2.ts'

export interface SignInOptions {
  identity: Identity
  /** Told who was refused; who is let in has a session, which says so. */
  signIns: Pick<SignIns, 'refused'>
  address: string
  log: Logger
}

/** Who came, and as whom the client called itself: the connection that it wants. */
export interface SignedIn {
  agent: AgentPrincipal
  user: string
}

/** What a client may try, none of it in vain for ever: OpenSSH's three answers by each of two ways. */
const TRIES = 6
/** Requests of any kind before somebody has signed in: keys that are only asked about are many with some. */
const MOST_REQUESTS = 40
/** A wrong token is answered so late (ms). */
const WRONG_MS = 500
/** OpenSSH's askpass gives no more (bytes). */
export const ASKPASS_BYTES = 1023
/** Longer than any token that is taken. */
const LONGEST_TOKEN = 65_536

type Method = 'publickey' | 'password' | 'keyboard-interactive'
const METHODS: Method[] = ['password', 'keyboard-interactive']

/**
 * Signs a client in (RFC 4252): a token as its password or as the answer to a prompt (RFC 4256). Nothing that is told
 * depends on which connections there are.
 * @returns who came; undefined where nobody has, and the client is gone or was sent away
 */
export function signIn(client: Connection, options: SignInOptions): Promise<SignedIn | undefined> {
  return new Promise((resolve) => {
    const login = new Login(client, options, resolve)
    client.on('authentication', (context) => login.asked(context))
    client.once('close', () => resolve(undefined))
  })
}

class Login {
  readonly #client: Connection
  readonly #options: SignInOptions
  readonly #done: (who: SignedIn | undefined) => void
  #tries = 0
  #requests = 0
  #over = false

  constructor(client: Connection, options: SignInOptions, done: (who: SignedIn | undefined) => void) {
    this.#client = client
    this.#options = options
    this.#done = done
    client.once('close', () => {
      this.#over = true
    })
  }

  asked(context: AuthContext): void {
    if (this.#over) return
    if (++this.#requests > MOST_REQUESTS) this.#sendAway('it asked for too many ways to sign in')
    else if (context.method === 'password') void this.#try(context, context.password)
    else if (context.method === 'keyboard-interactive') this.#prompt(context)
    else context.reject(METHODS)
  }

  #prompt(context: KeyboardAuthContext): void {
    const prompt = { prompt: 'Token: ', echo: false }
    context.prompt([prompt], 'Countersign', '', (answers) => {
      // Where the client has given up this way for another there is no answer.
      if (!Array.isArray(answers)) return
      void this.#try(context, answers.length === 1 ? String(answers[0]) : '')
    })
  }

  async #try(context: AuthContext, token: string): Promise<void> {
    this.#tries++
    const agent = await this.#agentOf(token).catch((error) => {
      this.#options.log.error({ err: error }, 'a token could not be checked')
      return undefined
    })
    if (this.#over) return
    if (agent) {
      this.#over = true
      context.accept()
      this.#done({ agent, user: context.username })
      return
    }
    if (this.#tries >= TRIES) return this.#sendAway('it has tried too often')
    setTimeout(() => {
      if (!this.#over) context.reject(METHODS)
    }, WRONG_MS).unref()
  }

  async #agentOf(token: string): Promise<AgentPrincipal | undefined> {
    const { identity, signIns, address, log } = this.#options
    try {
      if (token.length > LONGEST_TOKEN) throw new TokenError('malformed', `${token.length} characters are no token`)
      const principal = await identity.authenticate(token)
      if (principal.kind === 'agent') return principal
      const reason = 'a person’s token opens no session'
      signIns.refused({ via: 'ssh', address, who: principal, reason })
      log.info({ why: reason }, 'sign-in refused')
    } catch (error) {
      if (!(error instanceof TokenError)) throw error
      const cut = Buffer.byteLength(token) === ASKPASS_BYTES
      const reason = cut ? CUT : refusedBecause(error.fault)
      signIns.refused({ via: 'ssh', address, reason })
      log.info({ why: `${error.fault}: ${error.message}`, ...(cut && { hint: CUT }) }, 'sign-in refused')
    }
    return undefined
  }

  #sendAway(why: string): void {
    this.#over = true
    this.#options.log.info({ why }, 'a client was sent away before it had signed in')
    this.#client.end()
    this.#done(undefined)
  }
}

const CUT = 'the token was cut at 1,023 bytes, as OpenSSH’s askpass does: exchange it for a gateway token'
