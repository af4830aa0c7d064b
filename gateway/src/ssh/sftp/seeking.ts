import type { Asked } from '../commands.ts'
import type { SshSession } from '../session.ts'
import type { Words } from '../words.ts'
import type { Asking } from './asking.ts'
import { membersOf } from './members.ts'
import { askedOf, baseOf, type Operation } from './operations.ts'
import { asAsked, type Place, placeOf, Unresolved } from './places.ts'
import { turn } from './turns.ts'

/** What changes where names lead is waited for so long (ms), and waits so long itself. */
const PATIENCE = 10_000

/** Where names lead, and what moves along. */
export interface Found {
  places: Place[]
  members: string[]
}

/** What was found, and what the gate is asked of it. */
export interface Sought extends Found {
  asked: Asked
  /** For the client: the names as it asked for them, since where they lead is told to who may know it. */
  text: string
  held: boolean
  /** Whether it was looked where the names lead. */
  looked: boolean
}

/** Finds out where the names of a channel's operations lead, and what the gate is to be asked of them. */
export class Seeking {
  readonly #session: SshSession
  readonly #asking: Asking
  /** Turns that end with the host's answer. */
  readonly #turns = new Set<() => void>()
  #over = false
  /** Where relative names begin; undefined while the host hasn't said it. */
  base: string | undefined

  constructor(session: SshSession, asking: Asking) {
    this.#session = session
    this.#asking = asking
  }

  /** What the gate is asked of an operation whose names lead there. */
  asked(operation: Operation, places: readonly Place[], members?: string[]): Asked {
    const found = { base: this.base ?? '/', places, ...(members && { members }) }
    return askedOf(this.#session.target.ref.name, operation, found)
  }

  /** The same of its names alone, also where nobody can tell what they mean. */
  askedByName(operation: Operation): Asked {
    return this.asked(
      operation,
      operation.names.map(({ name }) => asAsked(this.base ?? '/', name)),
    )
  }

  /**
   * Where the names of an operation lead, and what the gate is asked of it. What may not be done by the names alone is
   * not looked for: nobody learns what is there, or where a link leads.
   * @throws Unresolved where that can't be told
   */
  async found(operation: Operation): Promise<Sought> {
    const { commands } = this.#session
    const unseen = this.#unseen(operation)
    const asked = this.asked(operation, unseen)
    const { text } = asked
    if (commands.preview(asked).outcome === 'deny')
      return { places: unseen, members: [], asked, text, held: false, looked: false }
    const { places, members } = await this.look(operation)
    const plain =
      members.length === 0 && places.every(({ asked, path, passed }) => asked === path && passed.length === 0)
    const meant = plain ? asked : this.asked(operation, places, members)
    return { places, members, asked: meant, text, held: commands.preview(meant).outcome === 'hold', looked: true }
  }

  /** Where its names lead at this moment. @throws Unresolved */
  async look({ names, moves }: Operation): Promise<Found> {
    const places: Place[] = []
    for (const named of names)
      places.push(await placeOf(this.#asking, this.#baseOf(named, places), named.name, named.follow))
    const [first] = places
    const members = moves && first?.is === 'directory' ? await membersOf(this.#asking, first.path) : []
    return { places, members }
  }

  /** Waits until nobody of this agent changes where names lead, or follows them. @returns what ends it, if it came in time */
  async turn({ alone }: Operation): Promise<(() => undefined) | undefined> {
    const { live } = this.#session
    const ended = await turn(`${live.connection.name}\n${live.agent.id}`, alone === true, PATIENCE)
    if (!ended) return undefined
    const end = () => {
      this.#turns.delete(end)
      ended()
      return undefined
    }
    if (this.#over) return end()
    this.#turns.add(end)
    return end
  }

  /** The channel has ended: whoever waits for a turn has it. */
  ended(): void {
    this.#over = true
    for (const end of [...this.#turns]) end()
  }

  #unseen({ names }: Operation): Place[] {
    const places: Place[] = []
    for (const named of names) places.push(asAsked(this.#baseOf(named, places), named.name))
    return places
  }

  #baseOf(named: Operation['names'][number], places: readonly Place[]): string {
    if (this.base === undefined && !named.name.startsWith('/') && named.beside === undefined)
      throw new Unresolved('the host does not tell where relative names begin')
    return baseOf(named, this.base ?? '/', places)
  }
}

export const sameAs = ({ places, members }: Found, again: Found): boolean =>
  JSON.stringify([places, members]) === JSON.stringify([again.places, again.members])

/** Where a name leads is not told by why it is refused. */
export function withoutPaths({ message, hint }: Words, { places, members }: Found): Words {
  const led = places.flatMap(({ asked, path, passed }) => [...(asked === path ? [] : [path]), ...passed])
  const tells = (said: string | undefined) =>
    said !== undefined && [...led, ...members.map((member) => `/${member}`)].some((it) => said.includes(it))
  const leads = 'What it leads to, or holds, is not for this agent.'
  return {
    message: tells(message) ? 'denied by policy' : message,
    ...(hint !== undefined && { hint: tells(hint) ? leads : hint }),
  }
}
