import { hostname } from 'node:os'
import { Endpoints } from '@countersign/contract/access'
import { z } from 'zod'
import { formatListen, type ListenAddress } from '../config/address.ts'
import type { IssuerConfig } from '../config/schema.ts'
import { TOKEN_EXCHANGE } from '../identity/tokens/form.ts'
import type { Endpoint, Listeners } from '../identity/tokens/target.ts'
import type { Routes } from './routes.ts'

/** How clients find the gateway. */
export interface Reached {
  /** URL of the API, without a slash at its end. */
  api: string
  /** Where clients reach the listeners of protocols. */
  listeners: Listeners
  /** Whether those need TLS. */
  tls: boolean
  /** As known_hosts has it behind a host. */
  sshHostKey?: string | undefined
}

/**
 * Where others reach an address that is listened on: the host of `api.url` where that is given, else the address itself,
 * or this machine's name where that is all of its addresses.
 * @param url `api.url`
 */
export function reached(address: ListenAddress, url: string | undefined): Endpoint {
  const { host, port } = address
  if (url !== undefined) return { host: new URL(url).hostname.replace(/^\[|\]$/g, ''), port, bound: host }
  return host === '0.0.0.0' || host === '::' ? { host: hostname(), port, bound: host } : { host, port }
}

/** RFC 8414, section 2: what is there of it. */
const ServerMetadata = z.object({
  issuer: z.string(),
  token_endpoint: z.string(),
  token_endpoint_auth_methods_supported: z.array(z.string()),
  revocation_endpoint: z.string(),
  revocation_endpoint_auth_methods_supported: z.array(z.string()),
  grant_types_supported: z.array(z.string()),
  response_types_supported: z.array(z.string()),
})

/** RFC 9728, section 2. */
const ResourceMetadata = z.object({
  resource: z.string(),
  authorization_servers: z.array(z.string()),
  bearer_methods_supported: z.array(z.string()),
  resource_name: z.string(),
})

/** What tells clients where to go; no token is needed. */
export function discoveryRoutes(
  app: Routes,
  options: { reached: () => Reached; issuers: () => readonly IssuerConfig[] },
): void {
  const schemaOf = <T extends z.ZodType>(summary: string, schema: T) => ({
    config: { open: true },
    schema: {
      tags: ['gateway'],
      summary,
      response: { 200: { description: 'The document.', content: { 'application/json': { schema } } } },
    },
  })

  app.get('/.well-known/countersign', schemaOf('Where clients connect', Endpoints), async () => {
    const { api, listeners, tls, sshHostKey } = options.reached()
    const { postgres, ssh, http } = listeners
    return {
      api,
      token_endpoint: `${api}/v1/token`,
      ...(postgres && { postgres: formatListen(postgres) }),
      ...(ssh && { ssh: formatListen(ssh) }),
      ...(ssh && sshHostKey !== undefined && { ssh_host_key: sshHostKey }),
      ...(http && { http: formatListen(http) }),
      tls,
    }
  })

  const server = schemaOf('The token endpoint, for OAuth clients (RFC 8414)', ServerMetadata)
  app.get('/.well-known/oauth-authorization-server', server, async () => {
    const { api } = options.reached()
    return {
      issuer: api,
      token_endpoint: `${api}/v1/token`,
      token_endpoint_auth_methods_supported: ['none'],
      revocation_endpoint: `${api}/v1/token/revoke`,
      revocation_endpoint_auth_methods_supported: ['none'],
      grant_types_supported: [TOKEN_EXCHANGE],
      response_types_supported: [],
    }
  })

  const resource = schemaOf('Whose tokens the API takes (RFC 9728)', ResourceMetadata)
  app.get('/.well-known/oauth-protected-resource', resource, async () => {
    const { api } = options.reached()
    // As `GET /v1/sign-in`, and no issuer that it doesn't tell.
    const people = options.issuers().find((each) => each.for !== 'agents' && each.client_id !== undefined)
    return {
      resource: api,
      authorization_servers: [...(people ? [people.issuer] : []), api],
      bearer_methods_supported: ['header'],
      resource_name: 'Countersign',
    }
  })
}
