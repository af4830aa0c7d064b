import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { PersonRef } from '@countersign/contract/identity'
import type { Campaign, CampaignItem, CampaignPlanInput } from '@countersign/contract/review'
import Database from 'better-sqlite3'
import { Registry as Metrics } from 'prom-client'
import { type Caller, silent, startWorld, type World } from '../../../api/testing/world.ts'
import type { LoadedConfig } from '../../../config/config.ts'
import { createGate } from '../../../gate/gate.ts'
import { loadPolicies, type Policies } from '../../../policy/policy.ts'
import { putInForce } from '../../../policy/versions.ts'
import { openEntries } from '../../../sessions/ledger/entries.ts'
import { openUsed } from '../../../sessions/ledger/used.ts'
import { verifyStore } from '../../../verify/verify.ts'
import { openReviews, type Reviews } from '../../reviews.ts'

export const DAY = 86_400_000

export interface ConnectionSpec {
  tags?: string[]
  access?: 'standing' | 'jit'
  mode?: 'enforce' | 'observe'
}

/** Time that goes on when it is told to. */
export class ManualClock {
  now = Date.parse('2026-11-02T09:00:00.000Z')
  #sleepers = new Set<{ at: number; call: () => void }>()

  wake = (at: Date, call: () => void): (() => void) => {
    const one = { at: at.getTime(), call }
    this.#sleepers.add(one)
    return () => this.#sleepers.delete(one)
  }
  /** Goes to a time; whoever wanted to be woken until then is. */
  to(at: number): void {
    this.now = Math.max(at, this.now)
    for (const one of [...this.#sleepers])
      if (one.at <= this.now) {
        this.#sleepers.delete(one)
        one.call()
      }
  }
}

/** Campaigns over HTTP with a time of their own: real store, ledger, registry and policies. */
export class CampaignWorld implements AsyncDisposable {
  readonly world: World
  readonly clock = new ManualClock()
  readonly connections = new Map<string, Required<ConnectionSpec> & { name: string; kind: string }>()
  reviews!: Reviews
  policies!: Policies
  url = ''

  private constructor(world: World) {
    this.world = world
  }

  /** With connections by name, and policies as one text. */
  static async start(policy: string, connections: Record<string, ConnectionSpec>): Promise<CampaignWorld> {
    const one = new CampaignWorld(await startWorld())
    for (const [name, { tags = [], access = 'standing', mode = 'enforce' }] of Object.entries(connections))
      one.connections.set(name, { name, kind: 'postgres', tags, access, mode })
    await one.enforce(policy)
    await one.openReviews()
    return one
  }

  /** Puts policies in force, as a reload does. */
  async enforce(text: string): Promise<void> {
    const folder = join(this.world.folder, 'policy')
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'a.cedar'), text)
    const loaded = await loadPolicies(folder)
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
    this.policies = loaded.policies
    await this.world.store.db
      .transaction()
      .execute((tx) => putInForce(tx, loaded.policies, 'a test', new Date(this.clock.now)))
  }

  /** Opens the rooms of reviews as a start of the gateway does. */
  async openReviews(): Promise<void> {
    const { store, folder, access, approvals, ledger } = this.world
    const policies = () => this.policies
    this.reviews = await openReviews({
      ...{ store, access, ledger, policies, log: silent },
      folder: join(folder, 'logged'),
      config: () => ({ connections: this.connections }) as unknown as LoadedConfig,
      gate: createGate({ policies, approvals, log: silent }),
      used: openUsed(join(folder, 'logged', 'ledger')),
      enforcement: { change: (work) => work(), policies, takeIn: async () => {} },
      metrics: new Metrics(),
      clock: () => this.clock.now,
      wake: this.clock.wake,
    })
    await this.reviews.campaigns.open()
    const api = await this.world.serve({ reviews: this.reviews })
    this.url = `http://${api.address}/v1`
  }

  /** Ends the rooms of reviews, as a stop of the gateway does. */
  async closeReviews(): Promise<void> {
    await this.reviews[Symbol.asyncDispose]()
  }

  /** Goes on to a time, and has done what is due then. */
  async to(at: number): Promise<void> {
    this.clock.to(at)
    await this.reviews.campaigns.tick()
  }

  async ask<T = Campaign>(
    as: Caller,
    method: string,
    path: string,
    body?: object,
    more: Record<string, string> = {},
  ): Promise<{ status: number; body: T & { detail?: string } }> {
    const headers = {
      ...more,
      authorization: `Bearer ${await this.world.token(as)}`,
      ...(body && { 'content-type': 'application/json' }),
    }
    const answer = await fetch(`${this.url}${path}`, { method, headers, ...(body && { body: JSON.stringify(body) }) })
    return { status: answer.status, body: (await answer.json()) as T & { detail?: string } }
  }

  /** As `ask`; anything but success is an error. */
  async get<T = Campaign>(as: Caller, method: string, path: string, body?: object): Promise<T> {
    const { status, body: came } = await this.ask<T>(as, method, path, body)
    if (status >= 300) throw new Error(`${method} ${path}: ${status} ${came.detail}`)
    return came
  }

  /** A campaign that Rae has made and started, with its snapshot taken, whatever came of it. */
  async begun(plan: Omit<CampaignPlanInput, 'title'> & { title?: string } = {}): Promise<Campaign> {
    const { id } = await this.get('rae', 'POST', '/campaigns', { title: 'Quarter', ...plan })
    await this.get('rae', 'POST', `/campaigns/${id}/start`)
    await this.reviews.campaigns.tick()
    return this.get('rae', 'GET', `/campaigns/${id}`)
  }

  async items(campaign: string, as: Caller = 'rae', query = ''): Promise<CampaignItem[]> {
    return (await this.get<{ items: CampaignItem[] }>(as, 'GET', `/campaigns/${campaign}/items?limit=1000${query}`))
      .items
  }

  agentId = (subject: string): string => `${this.world.agents.url}#${subject}`
  personId = (name: string): string => `${this.world.people.url}#${name}`
  person = (name: string): PersonRef => ({
    id: this.personId(name),
    issuer: this.world.people.url,
    subject: name,
    name,
  })

  /** An agent comes with these groups; the registry is told who answers for it. */
  async agent(subject: string, groups: string[], sponsor?: string): Promise<string> {
    const { access, agents } = this.world
    const id = this.agentId(subject)
    const expiresAt = new Date(Date.now() + DAY)
    access.registry.seen({ kind: 'agent', id, issuer: agents.url, subject, name: subject, groups, expiresAt })
    await access.registry.flush()
    if (sponsor !== undefined) await access.registry.change(id, { sponsor }, this.person('max'))
    return id
  }

  /** People sign in, so that they are known. */
  async signIn(...names: Caller[]): Promise<void> {
    for (const name of names) await this.get(name, 'GET', '/me')
    await this.world.access.registry.flush()
  }

  /** Entries of the ledger of a type, the first one first. */
  async said(type: string): Promise<Record<string, unknown>[]> {
    await this.world.ledger.sync()
    using entries = openEntries(join(this.world.folder, 'logged', 'ledger'))
    return [...entries.byType(type)].map(({ payload }) => JSON.parse(String(payload)) as Record<string, unknown>)
  }

  /** What `verify` finds wrong between what is kept of reviews and the ledger. */
  async verified(): Promise<string[]> {
    await this.world.ledger.sync()
    await this.world.ledger.signed()
    const data = join(this.world.folder, 'copy')
    rmSync(data, { recursive: true, force: true })
    mkdirSync(data)
    const store = new Database(join(this.world.folder, 'store.db'), { readonly: true })
    store.prepare('vacuum into ?').run(join(data, 'countersign.sqlite'))
    store.close()
    cpSync(join(this.world.folder, 'logged', 'ledger'), join(data, 'ledger'), { recursive: true })
    const { findings } = await verifyStore({ data, keys: [], maxWindow: DAY })
    return findings.map((one) => JSON.stringify(one)).filter((one) => /campaign|item|overlay|sign-off/.test(one))
  }

  async [Symbol.asyncDispose]() {
    await this.closeReviews()
    await this.world[Symbol.asyncDispose]()
  }
}
