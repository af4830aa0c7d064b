import { ConnectionRecord, Freeze, FreezeRequest } from '@countersign/contract/access'
import { ListQuery, listOf } from '@countersign/contract/api'
import { z } from 'zod'
import { EVERYTHING, type Freezes } from '../access/freezes.ts'
import { type PersonPrincipal, type Principal, personRef } from '../identity/principal.ts'
import { HttpProblem } from './problem.ts'
import { answers, bearer, type Routes } from './routes.ts'
import { forbidden, hasRole } from './visibility.ts'

const tags = ['connections']
const Name = z.object({ name: z.string().max(63) })

export interface ConnectionRoutesOptions {
  freezes: Freezes
  /** All that are configured, by name, with what is open on them; `freeze` is added here. */
  connections: () => Omit<ConnectionRecord, 'freeze'>[]
}

/** Connections, and their freezes: who may not come in is told by nothing but the entrance. */
export function connectionRoutes(app: Routes, { freezes, connections }: ConnectionRoutesOptions): void {
  app.get(
    '/v1/connections',
    {
      schema: {
        tags,
        summary: 'Connections, by name, with their freezes',
        description: 'For approvers, reviewers, auditors and admins.',
        security: bearer,
        querystring: ListQuery,
        response: answers(200, 'A page of them.', listOf(ConnectionRecord), 400, 403),
      },
    },
    async ({ caller, query }) => {
      if (!hasRole(caller, 'approver', 'reviewer', 'auditor', 'admin'))
        throw forbidden(caller, 'Connections are seen by approvers, reviewers, auditors and admins')
      const { limit, after } = query
      const rest = connections().filter(({ name }) => after === undefined || name > after)
      const items = rest.slice(0, limit).map((one) => {
        const freeze = freezes.over(one.name)
        return freeze ? { ...one, freeze } : one
      })
      return { items, next: rest.length > items.length ? items.at(-1)!.name : null }
    },
  )

  app.post(
    '/v1/connections/:name/freeze',
    {
      schema: {
        tags,
        summary: 'End the sessions of a connection, and take none until it is unfrozen',
        description: 'At once and for everybody, also where it is only observed. For admins.',
        security: bearer,
        params: Name,
        body: FreezeRequest,
        response: answers(200, 'It is frozen; its sessions have been told to end.', Freeze, 400, 403, 404, 409),
      },
    },
    async ({ caller, params: { name }, body: { reason } }) => {
      const by = admin(caller)
      if (!connections().some((one) => one.name === name)) throw unknown(name)
      return frozen(name, await freezes.freeze(name, personRef(by), reason))
    },
  )

  app.post(
    '/v1/connections/:name/unfreeze',
    {
      schema: {
        tags,
        summary: 'Take sessions on a connection again',
        description: 'A freeze of everything stays over it. For admins.',
        security: bearer,
        params: Name,
        body: FreezeRequest,
        response: answers(200, 'It is unfrozen.', Freeze, 400, 403, 404, 409),
      },
    },
    async ({ caller, params: { name }, body: { reason } }) => {
      const by = admin(caller)
      // One that is configured no more may still be frozen.
      if (!connections().some((one) => one.name === name) && (name === EVERYTHING || !freezes.of(name)))
        throw unknown(name)
      return unfrozen(name, await freezes.unfreeze(name, personRef(by), reason))
    },
  )

  app.post(
    '/v1/freeze',
    {
      schema: {
        tags,
        summary: 'End all sessions, and take none until everything is unfrozen',
        description: 'For admins.',
        security: bearer,
        body: FreezeRequest,
        response: answers(200, 'Everything is frozen; all sessions have been told to end.', Freeze, 400, 403, 409),
      },
    },
    async ({ caller, body: { reason } }) =>
      frozen(EVERYTHING, await freezes.freeze(EVERYTHING, personRef(admin(caller)), reason)),
  )

  app.post(
    '/v1/unfreeze',
    {
      schema: {
        tags,
        summary: 'Take sessions again',
        description: 'Connections that have a freeze of their own stay frozen. For admins.',
        security: bearer,
        body: FreezeRequest,
        response: answers(200, 'Everything is unfrozen.', Freeze, 400, 403, 409),
      },
    },
    async ({ caller, body: { reason } }) =>
      unfrozen(EVERYTHING, await freezes.unfreeze(EVERYTHING, personRef(admin(caller)), reason)),
  )
}

function admin(caller: Principal): PersonPrincipal {
  if (caller.kind === 'person' && hasRole(caller, 'admin')) return caller
  throw forbidden(caller, 'Connections are frozen and unfrozen by admins')
}

const unknown = (name: string) => new HttpProblem(404, `There is no connection ${JSON.stringify(name)}.`)
const called = (name: string) => (name === EVERYTHING ? 'Everything' : name)

function frozen(name: string, result: Freeze | 'already'): Freeze {
  if (result === 'already') throw new HttpProblem(409, `${called(name)} is frozen already.`)
  return result
}

function unfrozen(name: string, result: Freeze | 'not-frozen'): Freeze {
  if (result === 'not-frozen') throw new HttpProblem(409, `${called(name)} is not frozen.`)
  return result
}
