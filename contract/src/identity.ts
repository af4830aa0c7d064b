import { z } from 'zod'

/** What a person may do in Countersign. Only tokens of a people's issuer carry roles. */
export const Role = z.enum(['approver', 'reviewer', 'auditor', 'admin'])
export type Role = z.infer<typeof Role>

/**
 * An agent as others see it. `id` is `ISSUER#SUBJECT`: the same subject of two issuers is two agents.
 * `onBehalfOf` is the token's `sub` where an `act` claim names another actor (RFC 8693, section 4.1).
 */
export const AgentRef = z.object({
  id: z.string(),
  issuer: z.string(),
  subject: z.string(),
  name: z.string(),
  groups: z.array(z.string()),
  owner: z.string().optional(),
  onBehalfOf: z.string().optional(),
  chain: z
    .array(z.string())
    .optional()
    .describe('the actors before it, the latest first (nested act claims); absent where there were none'),
})
export type AgentRef = z.infer<typeof AgentRef>

/** A person as others see them. `id` is `ISSUER#SUBJECT`. */
export const PersonRef = z.object({ id: z.string(), issuer: z.string(), subject: z.string(), name: z.string() })
export type PersonRef = z.infer<typeof PersonRef>

/** Answer of `GET /v1/me`. */
export const Me = z.discriminatedUnion('kind', [
  PersonRef.extend({
    kind: z.literal('person'),
    groups: z.array(z.string()),
    roles: z.array(Role),
    expiresAt: z.iso.datetime(),
  }),
  AgentRef.extend({ kind: z.literal('agent'), expiresAt: z.iso.datetime() }),
])
export type Me = z.infer<typeof Me>

/** Answer of `GET /v1/sign-in`: what a console or CLI needs to start an OIDC authorization code flow with PKCE. */
export const SignIn = z.object({
  issuer: z.string(),
  client_id: z.string(),
  scopes: z.array(z.string()),
  resource: z.string().optional(),
})
export type SignIn = z.infer<typeof SignIn>
