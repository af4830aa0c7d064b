import type { Readable } from 'node:stream'
import { Cosignature, LedgerState } from '@countersign/contract/evidence'
import { LedgerError } from '@countersign/contract/ledger/errors'
import { parseTilePath, TILE_WIDTH } from '@countersign/contract/ledger/tiles'
import type { FastifyReply } from 'fastify'
import { z } from 'zod'
import type { PersonPrincipal, Principal } from '../identity/principal.ts'
import { bundleName } from '../sessions/bundles/bundles.ts'
import { type BundlesRoom, NoBundle, TooMany } from '../sessions/bundles/making.ts'
import { type Ledger, LedgerStopped } from '../sessions/ledger/ledger.ts'
import type { SessionsRoom } from '../sessions/sessions.ts'
import { HttpProblem } from './problem.ts'
import { answers, bearer, problemsOf, type Routes } from './routes.ts'
import { visible } from './session-routes.ts'
import { forbidden, hasRole, recordingScope } from './visibility.ts'

const tags = ['ledger']

/** The log as C2SP tlog-tiles has it, who signs and witnesses it, and evidence bundles. */
export function ledgerRoutes(
  app: Routes,
  options: { ledger: Ledger; bundles: BundlesRoom; sessions: SessionsRoom },
): void {
  const { ledger, bundles, sessions } = options

  app.get(
    '/v1/ledger',
    {
      schema: {
        tags,
        summary: 'Whose log it is, by which keys it is signed, and who witnesses it',
        security: bearer,
        response: answers(200, 'The state of the log.', LedgerState, 403),
      },
    },
    async ({ caller }) => {
      mayReadLedger(caller)
      return stoppings(ledger.state())
    },
  )

  app.get(
    '/v1/ledger/checkpoint',
    {
      schema: {
        tags,
        summary: 'The newest signed checkpoint, with its cosignatures',
        description: 'C2SP tlog-checkpoint: a signed note of origin, number of entries and root hash.',
        security: bearer,
        response: {
          200: { description: 'The note.', content: { 'text/plain': { schema: z.string() } } },
          ...problemsOf(401, 403, 429, 503),
        },
      },
    },
    async ({ caller }, reply) => {
      mayReadLedger(caller)
      const { note } = await stoppings(ledger.head())
      return reply.header('content-type', 'text/plain; charset=utf-8').send(note)
    },
  )

  app.get(
    '/v1/ledger/tile/*',
    {
      schema: {
        tags,
        summary: 'A tile of the log: hashes, or entries',
        description:
          'C2SP tlog-tiles: `LEVEL/N[.p/W]` or `entries/N[.p/W]`. A full one never changes. Partial ones go once their full one is there.',
        security: bearer,
        params: z.object({ '*': z.string().max(200) }),
        response: {
          200: { description: 'The tile.', content: { 'application/octet-stream': { schema: z.string() } } },
          ...problemsOf(401, 403, 404, 429, 503),
        },
      },
    },
    async ({ caller, params }, reply) => {
      mayReadLedger(caller)
      const path = `tile/${params['*']}`
      const tile = parseTilePath(path)
      if (!tile)
        throw new HttpProblem(404, 'This is no path of a tile: tile/LEVEL/N, tile/entries/N (C2SP tlog-tiles).')
      const bytes = await stoppings(ledger.tile(path))
      if (!bytes)
        throw new HttpProblem(
          404,
          tile.width < TILE_WIDTH
            ? 'The log has no such partial tile, or not any more: ask for the full one.'
            : 'The log has no such tile yet.',
        )
      const fresh = tile.width === TILE_WIDTH ? 'private, max-age=31536000, immutable' : 'private, no-cache'
      return sendBytes(reply.header('cache-control', fresh), 'application/octet-stream', asBuffer(bytes))
    },
  )

  app.post(
    '/v1/ledger/cosignatures',
    {
      schema: {
        tags,
        summary: 'Add a console’s cosignature to a checkpoint',
        description: 'C2SP tlog-cosignature. The console has checked that the log only grew since the one before.',
        security: bearer,
        body: Cosignature,
        response: {
          204: { description: 'It is there.', content: { 'application/json': { schema: z.undefined() } } },
          ...problemsOf(400, 401, 403, 409, 429, 503),
        },
      },
    },
    async ({ caller, body }, reply) => {
      const person = mayReadLedger(caller)
      try {
        await stoppings(ledger.cosign(refOf(person), body.key, body.note))
      } catch (error) {
        if (!(error instanceof LedgerError)) throw error
        throw new HttpProblem(
          error.code === 'out-of-range' ? 409 : 400,
          `The cosignature is not taken: ${error.message}.`,
        )
      }
      return reply.code(204).send()
    },
  )

  app.get(
    '/v1/sessions/:id/bundle',
    {
      config: { costly: 'bundle' },
      schema: {
        tags,
        summary: 'A session’s evidence bundle: entries, proofs, recording, policy, people and decisions',
        description:
          'A tar file that `countersign verify` and stock tools check without the gateway. Making one is a playback, and recorded.',
        security: bearer,
        params: z.object({ id: z.string().max(100) }),
        response: {
          200: { description: 'The bundle.', content: { 'application/x-tar': { schema: z.string() } } },
          ...problemsOf(401, 403, 404, 409, 429, 503),
        },
      },
    },
    async ({ caller, params }, reply) => {
      const session = await visible(sessions, recordingScope(caller), params.id)
      await sessions.playedBack(session.id, caller, 'bundle')
      try {
        const stream = await stoppings(bundles.bundle(session.id, refOf(caller as PersonPrincipal)))
        const name = `attachment; filename="${bundleName(session.id)}"`
        return sendBytes(reply.header('content-disposition', name), 'application/x-tar', stream)
      } catch (error) {
        if (error instanceof TooMany) throw new HttpProblem(503, error.message, { 'retry-after': '60' })
        if (!(error instanceof NoBundle)) throw error
        throw new HttpProblem(error.code === 'unknown-session' ? 404 : 409, error.message)
      }
    },
  )
}

/** All roles of people read it (contract.md section 7); it names agents, so agents don't. @throws HttpProblem 403 */
function mayReadLedger(caller: Principal): PersonPrincipal {
  if (caller.kind === 'agent') throw new HttpProblem(403, 'The ledger is for people: an agent sees its own sessions.')
  if (!hasRole(caller, 'approver', 'reviewer', 'auditor', 'admin'))
    throw forbidden(caller, 'The ledger is read by approvers, reviewers, auditors and admins')
  return caller
}

const refOf = ({ id, issuer, subject, name }: PersonPrincipal) => ({ id, issuer, subject, name })

const asBuffer = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** Bytes and streams are sent as they are, whatever schema describes them. */
const sendBytes = (reply: FastifyReply, type: string, bytes: Buffer | Readable) =>
  reply.header('content-type', type).send(bytes)

/** @throws HttpProblem 503 in place of LedgerStopped */
async function stoppings<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof LedgerStopped) throw new HttpProblem(503, error.message, { 'retry-after': '5' })
    throw error
  }
}
