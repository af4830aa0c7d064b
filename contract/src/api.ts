import { z } from 'zod'

/** RFC 9457 problem details, the body of every error of the API. */
export const Problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.number().int(),
  detail: z.string().optional(),
  grant: z.string().optional().describe('id of the grant that was denied'),
  plan: z.string().optional().describe('id of the plan that was denied'),
  item: z
    .unknown()
    .optional()
    .describe('of a campaign: the CampaignItem as it is now, where it was decided on another revision'),
  campaign: z.unknown().optional().describe('the Campaign as it is now, where that is closed'),
  draft: z.unknown().optional().describe('the PolicyDraft as it is now, where another revision of it was changed'),
})
export type Problem = z.infer<typeof Problem>

/** The envelope of every list: `next`, where there is one, goes into `after` of the call for the next page. */
export function listOf<T extends z.ZodType>(item: T) {
  return z.object({ items: z.array(item), next: z.string().nullable() })
}

export const ListQuery = z.object({
  limit: z.coerce.number().int().min(1).max(10_000).default(100),
  after: z.string().optional(),
})

/** Answer of `GET /readyz`, with 200 or 503. */
export const Readiness = z.object({ ready: z.boolean(), reasons: z.array(z.string()).describe('why not, in words') })
export type Readiness = z.infer<typeof Readiness>

/** Answer of `GET /v1/policy`. */
export const PolicyInForce = z.object({
  version: z.string().describe('sha256:HEX over all files'),
  texts: z.array(z.object({ file: z.string(), text: z.string() })),
  tests: z
    .array(z.object({ file: z.string(), text: z.string() }))
    .optional()
    .describe('*.test.yaml of the policy folder as they are now'),
})
export type PolicyInForce = z.infer<typeof PolicyInForce>
