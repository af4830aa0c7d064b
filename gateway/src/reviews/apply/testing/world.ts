import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { PersonRef } from '@countersign/contract/identity'
import type { Overlay } from '@countersign/contract/review'
import type { AccessWorld, Person } from '../../../access/testing/world.ts'
import type { Policies } from '../../../policy/policy.ts'
import { openStore, type Store } from '../../../store/store.ts'
import { type Proposal, propose } from '../propose.ts'

/** What a decision would propose, by a store of one's own beside the gateway's. */
export async function proposing(
  world: AccessWorld,
  proposal: Omit<Proposal, 'title' | 'reason'> & { title?: string; reason?: string },
): Promise<string> {
  const proposed = await stored(world, ({ db }) =>
    db
      .transaction()
      .execute((tx) =>
        propose(
          tx,
          { title: 'Less for a bot', reason: 'not used', ...proposal },
          { policies: () => ({ texts: [], list: [] }) as unknown as Policies, at: new Date(), log: console },
        ),
      ),
  )
  if (proposed === 'not-supported') throw new Error('not supported')
  return proposed.id
}

/** Works on the gateway's store by a connection of one's own. */
export async function stored<T>(world: AccessWorld, work: (store: Store) => Promise<T>): Promise<T> {
  await using store = await openStore(join(world.data, 'countersign.sqlite'))
  return await work(store)
}

/** What a person answers to an overlay; the status and what came. */
export async function answer(
  world: AccessWorld,
  person: Person,
  overlay: string,
  what: 'apply' | 'reject' | 'roll-back' | 'retire',
  body: { reason?: string; digest?: string; confirms?: string } = {},
): Promise<{ status: number; overlay: Overlay; detail?: string }> {
  const answered = await world.call(`/v1/overlays/${overlay}/${what}`, await world.person(person), body)
  const came = (await answered.json()) as Overlay & { detail?: string }
  return { status: answered.status, overlay: came, ...(came.detail !== undefined && { detail: came.detail }) }
}

export function personRef(world: AccessWorld, subject: Person, name: string): PersonRef {
  const issuer = world.issuers.people.url
  return { id: `${issuer}#${subject}`, issuer, subject, name }
}

/** psql with a session that stays open: one statement after another, with what each says. */
export class Psql implements AsyncDisposable {
  readonly #child: ChildProcess
  #out = ''
  #err = ''
  #asked = 0
  #wake = () => {}
  ended = false

  constructor(port: number, database: string, token: string) {
    const { PATH } = process.env
    const connection = `host=127.0.0.1 port=${port} dbname=${database} user=any`
    this.#child = spawn('psql', ['-X', '-q', '-A', '-t', '-v', 'VERBOSITY=verbose', connection], {
      env: { PATH, PGPASSWORD: token },
      stdio: 'pipe',
    })
    this.#child.stdout!.setEncoding('utf8').on('data', (text: string) => this.#came(() => (this.#out += text)))
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => this.#came(() => (this.#err += text)))
    this.#child.stdin!.on('error', () => {})
    this.#child.on('close', () => this.#came(() => (this.ended = true)))
  }

  #came(what: () => void): void {
    what()
    this.#wake()
  }

  /** What psql prints of a statement, on both of its outputs; empty for one that has nothing to say. */
  async ask(statement: string): Promise<string> {
    const end = `end ${++this.#asked}`
    this.#child.stdin!.write(`${statement}\n\\echo ${end}\n\\warn ${end}\n`)
    for (;;) {
      const [out, err] = [this.#out.indexOf(`${end}\n`), this.#err.indexOf(`${end}\n`)]
      if ((out >= 0 && err >= 0) || this.ended) {
        const said = `${out < 0 ? this.#out : this.#out.slice(0, out)}${err < 0 ? this.#err : this.#err.slice(0, err)}`
        this.#out = out < 0 ? '' : this.#out.slice(out + end.length + 1)
        this.#err = err < 0 ? '' : this.#err.slice(err + end.length + 1)
        return said.trim()
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  async [Symbol.asyncDispose]() {
    if (this.ended) return
    this.#child.kill()
    await once(this.#child, 'close')
  }
}
