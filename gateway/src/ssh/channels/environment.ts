import type { Wishes } from '../session.ts'

/** Variables of one channel, and characters of all of them: environments are small. */
const MOST = 128
const LONGEST = 64 * 1024
/** Characters of a purpose: people read it. */
const LONGEST_PURPOSE = 1000
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/
/** What sshd of the usual distributions takes, beside what the connection names (`AcceptEnv LANG LC_*`). */
const USUAL = ['LANG', 'LC_*']
const OURS = 'COUNTERSIGN_'

/**
 * What a channel's `env` requests (RFC 4254, section 6.4) amount to: what passes to the host, and what the gateway itself
 * is told by `SetEnv COUNTERSIGN_…` (contract.md section 3).
 */
export class Environment {
  readonly #asked = new Map<string, string>()
  #characters = 0
  readonly #wishes: Wishes = {}
  #wrong: string | undefined

  /** @returns whether it is taken; what isn't allowed to pass is only known once the connection is */
  set(name: string, value: string): boolean {
    if (name.startsWith(OURS)) return this.#wish(name.slice(OURS.length), value)
    if (!NAME.test(name) || /[\0\ufffd]/.test(value)) return false
    const before = this.#asked.get(name)
    if (this.#asked.size >= MOST && before === undefined) return false
    const characters = this.#characters + value.length - (before?.length ?? -name.length)
    if (characters > LONGEST) return false
    this.#characters = characters
    this.#asked.set(name, value)
    return true
  }

  get wishes(): Wishes {
    return this.#wishes
  }

  /** Why what the gateway was told can't be followed; undefined where it can. */
  get wrong(): string | undefined {
    return this.#wrong
  }

  /** What passes to the host, by name. @param allowed beside LANG and LC_*; a name may end in `*` */
  passing(allowed: readonly string[]): Record<string, string> {
    const passing: [string, string][] = []
    for (const [name, value] of this.#asked)
      if (allows(USUAL, name) || allows(allowed, name)) passing.push([name, value])
    return Object.fromEntries(passing.sort(([a], [b]) => (a < b ? -1 : 1)))
  }

  #wish(name: string, value: string): boolean {
    if (name === 'PURPOSE') {
      if (value.length > LONGEST_PURPOSE || /\p{C}/u.test(value))
        this.#wrong = `COUNTERSIGN_PURPOSE is a line of at most ${LONGEST_PURPOSE} characters`
      else if (value !== '') this.#wishes.purpose = value
      return this.#wrong === undefined
    }
    if (name === 'HOLD') {
      if (value === 'wait' || value === 'fail') this.#wishes.hold = value
      else this.#wrong = 'COUNTERSIGN_HOLD is `wait` or `fail`'
      return this.#wrong === undefined
    }
    // A name mistyped must not silently mean something else than was meant.
    this.#wrong = `there is no COUNTERSIGN_${name.slice(0, 40).replace(/[^A-Z0-9_]/gi, '?')}: known are COUNTERSIGN_PURPOSE and COUNTERSIGN_HOLD`
    return false
  }
}

function allows(patterns: readonly string[], name: string): boolean {
  return patterns.some((pattern) => (pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern))
}
