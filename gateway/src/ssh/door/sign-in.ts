import type { Logger } from 'pino'
import { type AgentPrincipal, type Identity, TokenError } from '../../identity/principal.ts'
import { refusedBecause, type SignIns } from '../../identity/sign-ins.ts'
import type { AuthContext, Connection, KeyboardAuthContext, PublicKeyAuthContext } from '../transport/ssh2.ts'
import { offeredKey } from './public-key.ts'

/** Agents' public keys, by their fingerprints (`SHA256:…`). */
export interface Keys {
  /** Who comes with it; why they may not come in; undefined where it is nobody's. */
  agentOf(fingerprint: string): AgentPrincipal | { refused: string } | undefined
  knows(fingerprint: string): boolean
}

export interface SignInOptions {
  identity: Identity
  keys: Keys
  /** Told who was refused; who is let in has a session, which says so. */
  signIns: Pick<SignIns, 'refused'>
  address: string
  log: Logger
  /** How late a wrong answer is said to be wrong (ms). */
  wrongAfter: number
}

/** Who came, and as whom the client called itself: the connection that it wants. */
export interface SignedIn {
  agent: AgentPrincipal
  user: string
}

/** Answers that are wrong: as many as OpenSSH gives by itself, three to each of two kinds of question. */
export const TRIES = 6
/** Requests of any kind: keys that are only asked about are many with some clients. */
export const MOST_REQUESTS = 40
/** OpenSSH's askpass gives no more (bytes). */
const ASKPASS_BYTES = 1023
/** Longer than any token that is taken. */
const LONGEST_TOKEN = 65_536

const METHODS: ('publickey' | 'password' | 'keyboard-interactive')[] = ['publickey', 'password', 'keyboard-interactive']
const CUT =
  'The token was cut at 1,023 bytes, as OpenSSH’s askpass does: exchange it for a gateway token, which is short (countersign token).'

/**
 * Signs a client in (RFC 4252): by a token as its password or as the answer to a prompt (RFC 4256), or by a public key of an
 * agent. Nothing that is told depends on which connections there are.
 * @returns who came; undefined where nobody has, and the client is gone or was sent away
 */
export function signIn(client: Connection, options: SignInOptions): Promise<SignedIn | undefined> {
  return new Promise((resolve) => {
    const login = new Login(client, options, resolve)
    client.on('authentication', (context) => login.asked(context))
    client.once('close', () => login.over())
  })
}

class Login {
  readonly #client: Connection
  readonly #options: SignInOptions
  readonly #done: (who: SignedIn | undefined) => void
  #wrong = 0
  #requests = 0
  #over = false
  /** A token came cut. */
  #cut = false

  constructor(client: Connection, options: SignInOptions, done: (who: SignedIn | undefined) => void) {
    this.#client = client
    this.#options = options
    this.#done = done
  }

  asked(context: AuthContext): void {
    if (this.#over) return
    if (++this.#requests > MOST_REQUESTS) this.#sendAway('it asked for too many ways to sign in')
    else if (context.method === 'password') void this.#token(context, context.password)
    else if (context.method === 'keyboard-interactive') this.#prompt(context)
    else if (context.method === 'publickey') this.#key(context)
    else context.reject(METHODS)
  }

  over(who?: SignedIn): void {
    this.#over = true
    this.#done(who)
  }

  #prompt(context: KeyboardAuthContext): void {
    // As PAM asks: programs that answer for people look for the word.
    context.prompt([{ prompt: 'Password: ', echo: false }], '', this.#cut ? CUT : '', (answers) => {
      // Where the client has left this way for another, what comes is no answer.
      if (Array.isArray(answers)) void this.#token(context, answers.length === 1 ? String(answers[0]) : '')
    })
  }

  async #token(context: AuthContext, token: string): Promise<void> {
    const agent = await this.#agentOf(token).catch((error) => {
      this.#options.log.error({ err: error }, 'a token could not be checked')
      return undefined
    })
    if (this.#over) return
    if (agent) this.#letIn(context, agent)
    else this.#refuse(context)
  }

  async #agentOf(token: string): Promise<AgentPrincipal | undefined> {
    const { identity, signIns, address, log } = this.#options
    const bytes = Buffer.byteLength(token)
    try {
      if (bytes > LONGEST_TOKEN) throw new TokenError('malformed', `${bytes} bytes are no token`)
      const principal = await identity.authenticate(token)
      if (principal.kind === 'agent') return principal
      const reason = 'a person’s token opens no session'
      signIns.refused({ via: 'ssh', address, who: principal, reason })
      log.info({ why: reason }, 'sign-in refused')
    } catch (error) {
      if (!(error instanceof TokenError)) throw error
      this.#cut = bytes === ASKPASS_BYTES
      signIns.refused({ via: 'ssh', address, reason: refusedBecause(error.fault) })
      log.info({ why: `${error.fault}: ${error.message}`, ...(this.#cut && { hint: CUT }) }, 'sign-in refused')
    }
    return undefined
  }

  #key(context: PublicKeyAuthContext): void {
    const { keys, signIns, address, log } = this.#options
    const offered = offeredKey(context)
    const { fingerprint } = offered
    if (!keys.knows(fingerprint)) {
      log.debug({ key: fingerprint }, 'a key that is nobody’s')
      context.reject(METHODS)
    } else if (!offered.signed) context.accept()
    else {
      const agent = offered.proves() ? keys.agentOf(fingerprint) : { refused: 'the signature by its key is wrong' }
      if (agent && 'kind' in agent) {
        this.#letIn(context, agent)
        return
      }
      const reason = agent?.refused ?? 'the key is nobody’s'
      signIns.refused({ via: 'ssh', address, reason })
      log.info({ key: fingerprint, why: reason }, 'sign-in refused')
      this.#refuse(context)
    }
  }

  #letIn(context: AuthContext, agent: AgentPrincipal): void {
    const { username: user } = context
    context.accept()
    // Where the client has left this way for another meanwhile, it isn't let in by it.
    if (this.#client.authenticated) this.over({ agent, user })
  }

  /** Late, so that many guesses take long; the last one of too many ends it. */
  #refuse(context: AuthContext): void {
    const tooOften = ++this.#wrong >= TRIES
    const late = setTimeout(() => {
      if (this.#over) return
      if (tooOften) this.#sendAway('it has tried too often')
      else if (this.#cut && context.method === 'keyboard-interactive')
        context.prompt([], '', CUT, () => context.reject(METHODS))
      else context.reject(METHODS)
    }, this.#options.wrongAfter)
    this.#client.once('close', () => clearTimeout(late))
  }

  #sendAway(why: string): void {
    this.#options.log.info({ why }, 'a client was sent away before it had signed in')
    this.over()
    this.#client.end()
  }
}
