import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { type JWK, SignJWT } from 'jose'
import { type AdapterConstructor, Provider } from 'oidc-provider'
// @ts-expect-error no types
import MemoryAdapter from 'oidc-provider/lib/adapters/memory_adapter.js'
import { completeLogin } from './complete-login.ts'

export interface IssuerPerson {
  subject: string
  name: string
  email?: string
  groups: string[]
  /** One line for the sign-in page. */
  about?: string
}

export interface IssuerAgent {
  subject: string
  groups: string[]
  owner?: string
  name?: string
  /** For the client_credentials grant at the token endpoint; without it the agent only gets tokens by `agentToken`. */
  secret?: string
  /** Public keys by which it proves itself there instead (private_key_jwt, RFC 7523). */
  keys?: JWK[]
}

export interface IssuerOptions {
  port?: number
  people?: IssuerPerson[]
  agents?: IssuerAgent[]
  /** `aud` of access tokens. */
  audience?: string
  /** Seconds that access tokens of the token endpoint live. */
  tokenSeconds?: number
}

export interface TokenRequest {
  subject: string
  groups?: string[]
  name?: string
  audience?: string | string[]
  /** Seconds from now, may be negative. */
  expiresIn?: number
  /** More claims, or others' values. `undefined` leaves a claim out. */
  claims?: Record<string, unknown>
}

export interface RunningIssuer extends AsyncDisposable {
  url: string
  /** What a console signs in with. */
  clientId: string
  resource: string
  /** An access token as the token endpoint would sign it, for any subject. */
  agentToken(request: TokenRequest): Promise<string>
  personToken(request: TokenRequest): Promise<string>
  /** A token by the client_credentials grant (RFC 6749, section 4.4), as an agent's runtime gets it. */
  clientCredentials(subject: string): Promise<string>
  /** Follows an authorization URL as a browser would and signs in as that person. Answers the last page's text. */
  completeLogin(authorizationUrl: string, subject: string): Promise<string>
  /** New signing key; the old one is no longer published. */
  rotate(): void
  stop(): Promise<void>
}

/** A class of our own, because the provider warns in every log where it is given its own one. */
class InMemory extends MemoryAdapter {}

const clientId = 'countersign-console'
const resource = 'urn:countersign'
const deviceCode = 'urn:ietf:params:oauth:grant-type:device_code'

/**
 * A real OIDC provider (oidc-provider) on 127.0.0.1 with people who sign in by choosing their name, and agents with
 * client credentials. For the sample world and tests: it has no passwords.
 */
export async function startIssuer(options: IssuerOptions = {}): Promise<RunningIssuer> {
  const audience = options.audience ?? 'countersign'
  const people = new Map((options.people ?? []).map((p) => [p.subject, p]))
  const agents = new Map((options.agents ?? []).map((a) => [a.subject, a]))
  let handle: (req: IncomingMessage, res: ServerResponse) => unknown = (_req, res) => res.writeHead(503).end()
  const server = createServer((req, res) => handle(req, res))
  server.listen(options.port ?? 0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as { port: number }).port}`

  let key: Key
  const used: Key[] = []
  const cookieKey = randomBytes(24).toString('base64url')
  const rotate = () => {
    key = free.shift() ?? anotherKey()
    used.push(key)
    const provider = newProvider(key)
    const callback = provider.callback()
    handle = (req, res) => (req.url?.startsWith('/sign-in/') ? signIn(provider, req, res) : callback(req, res))
  }

  function newProvider(signing: Key): Provider {
    const jwk = { ...signing.private.export({ format: 'jwk' }), kid: signing.kid, alg: 'RS256', use: 'sig' } as JWK
    const provider = new Provider(url, {
      adapter: InMemory as unknown as AdapterConstructor,
      jwks: { keys: [jwk as never] },
      cookies: { keys: [cookieKey] },
      clients: [
        {
          client_id: clientId,
          client_name: 'Countersign console',
          application_type: 'native',
          token_endpoint_auth_method: 'none',
          redirect_uris: ['http://127.0.0.1/callback'],
          grant_types: ['authorization_code', 'refresh_token', deviceCode],
          response_types: ['code'],
        },
        ...[...agents.values()]
          .filter((a) => a.secret !== undefined || a.keys)
          .map((a) => ({
            client_id: a.subject,
            ...(a.keys
              ? { token_endpoint_auth_method: 'private_key_jwt' as const, jwks: { keys: a.keys as never[] } }
              : { client_secret: a.secret! }),
            grant_types: ['client_credentials'],
            redirect_uris: [],
            response_types: [],
          })),
      ],
      pkce: { required: () => true },
      claims: { profile: ['name'], email: ['email'], groups: ['groups'] },
      scopes: ['openid', 'profile', 'email', 'groups', 'offline_access'],
      features: {
        devInteractions: { enabled: false },
        clientCredentials: { enabled: true },
        deviceFlow: {
          enabled: true,
          userCodeInputSource(ctx, form, _out, error) {
            const words = error ? 'That code is not known, or no longer. Try again.' : 'As your terminal shows it.'
            ctx.body = devicePage('Enter the code', words, form, 'op.deviceInputForm', 'Go on')
          },
          userCodeConfirmSource(ctx, form, client, _device, code) {
            const words = `${client.clientName} asks to sign in as you. Go on only if your terminal shows ${code}.`
            ctx.body = devicePage('Is this your code?', words, form, 'op.deviceConfirmForm', 'Sign in')
          },
          successSource(ctx) {
            ctx.body = devicePage('You are signed in', 'Go back to the terminal. You can close this tab.')
          },
        },
        rpInitiatedLogout: { enabled: true },
        revocation: { enabled: true, allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId },
        resourceIndicators: {
          enabled: true,
          defaultResource: () => resource,
          useGrantedResource: () => true,
          getResourceServerInfo: () => ({
            scope: 'openid profile email groups offline_access',
            audience,
            accessTokenFormat: 'jwt',
            accessTokenTTL: options.tokenSeconds ?? 3600,
            jwt: { sign: { alg: 'RS256' } },
          }),
        },
      },
      ttl: {
        Session: 86_400,
        Grant: 86_400,
        Interaction: 3600,
        DeviceCode: 600,
        RefreshToken: 86_400,
        AuthorizationCode: 60,
        IdToken: options.tokenSeconds ?? 3600,
        AccessToken: options.tokenSeconds ?? 3600,
        ClientCredentials: options.tokenSeconds ?? 3600,
      },
      issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token'),
      extraTokenClaims(_ctx, token) {
        if (token.kind === 'ClientCredentials') return claimsOfAgent(agents.get(token.clientId ?? ''))
        return 'accountId' in token ? claimsOfPerson(people.get(token.accountId as string)) : undefined
      },
      findAccount: (_ctx, id) => {
        const person = people.get(id)
        return person && { accountId: id, claims: () => ({ sub: id, ...claimsOfPerson(person) }) }
      },
      // The console is the organisation's own: nobody is asked whether it may see their name.
      async loadExistingGrant(ctx) {
        const grant = new ctx.oidc.provider.Grant({
          clientId: ctx.oidc.client!.clientId,
          accountId: ctx.oidc.session!.accountId!,
        })
        grant.addOIDCScope('openid profile email groups offline_access')
        grant.addResourceScope(resource, 'openid profile email groups offline_access')
        await grant.save()
        return grant
      },
      interactions: { url: (_ctx, interaction) => `/sign-in/${interaction.uid}` },
      renderError(ctx, out) {
        ctx.type = 'text/plain'
        ctx.body = `Sign-in failed: ${out.error_description ?? out.error}`
      },
    })
    return provider
  }

  async function signIn(provider: Provider, req: IncomingMessage, res: ServerResponse) {
    try {
      const { prompt } = await provider.interactionDetails(req, res)
      const chosen = new URL(req.url!, url).searchParams.get('person')
      if (prompt.name === 'login' && (chosen === null || !people.has(chosen))) return page(res, req.url!, people)
      await provider.interactionFinished(
        req,
        res,
        prompt.name === 'login' ? { login: { accountId: chosen! } } : { consent: {} },
      )
    } catch (error) {
      res.writeHead(400, { 'content-type': 'text/plain' }).end(`Sign-in failed: ${(error as Error).message}`)
    }
  }

  async function sign(request: TokenRequest, known: Record<string, unknown>): Promise<string> {
    const now = Math.floor(Date.now() / 1000)
    const claims: Record<string, unknown> = {
      iss: url,
      aud: request.audience ?? audience,
      sub: request.subject,
      iat: now,
      exp: now + (request.expiresIn ?? 3600),
      jti: randomBytes(12).toString('base64url'),
      ...known,
      ...(request.groups && { groups: request.groups }),
      ...(request.name && { name: request.name }),
      ...request.claims,
    }
    for (const name of Object.keys(claims)) if (claims[name] === undefined) delete claims[name]
    return new SignJWT(claims).setProtectedHeader({ alg: 'RS256', typ: 'at+jwt', kid: key.kid }).sign(key.private)
  }

  rotate()
  const stop = async () => {
    server.closeAllConnections()
    if (server.listening) await new Promise((resolve) => server.close(resolve))
    free.push(...used.splice(0))
  }
  return {
    url,
    clientId,
    resource,
    agentToken: (request) =>
      sign(request, { client_id: request.subject, ...claimsOfAgent(agents.get(request.subject)) }),
    personToken: (request) => sign(request, { client_id: clientId, ...claimsOfPerson(people.get(request.subject)) }),
    async clientCredentials(subject) {
      const secret = agents.get(subject)?.secret ?? ''
      const answer = await fetch(`${url}/token`, {
        method: 'POST',
        headers: { authorization: `Basic ${Buffer.from(`${subject}:${secret}`).toString('base64')}` },
        body: new URLSearchParams({ grant_type: 'client_credentials', resource }),
      })
      const body = (await answer.json()) as { access_token?: string; error_description?: string }
      if (!body.access_token) throw new Error(`the issuer gave no token: ${body.error_description ?? answer.status}`)
      return body.access_token
    },
    completeLogin,
    rotate,
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

interface Key {
  kid: string
  private: KeyObject
}

/** What issuers have signed with that have stopped: tests start hundreds, and to make a key takes a tenth of a second. */
const free: Key[] = []
let taken = 0

/**
 * A key that no issuer of this process has. Where COUNTERSIGN_TEST_KEYS names a folder, keys are kept there, for the tests
 * of other files.
 */
function anotherKey(): Key {
  const folder = process.env.COUNTERSIGN_TEST_KEYS
  if (folder === undefined) return newKey()
  const file = join(folder, `${taken++}.pem`)
  try {
    return keyOf(createPrivateKey(readFileSync(file)))
  } catch {
    const key = newKey()
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const arriving = `${file}.${process.pid}`
    writeFileSync(arriving, key.private.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
    renameSync(arriving, file)
    return key
  }
}

function newKey(): Key {
  return keyOf(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey)
}

function keyOf(privateKey: KeyObject): Key {
  const der = createPublicKey(privateKey).export({ type: 'spki', format: 'der' })
  return { kid: createHash('sha256').update(der).digest('base64url'), private: privateKey }
}

function claimsOfPerson(person: IssuerPerson | undefined) {
  return person && { name: person.name, groups: person.groups, ...(person.email && { email: person.email }) }
}

function claimsOfAgent(agent: IssuerAgent | undefined) {
  return (
    agent && {
      groups: agent.groups,
      ...(agent.name && { name: agent.name }),
      ...(agent.owner && { owner: agent.owner }),
    }
  )
}

const asText = (text: string) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)

const style = `
:root{color-scheme:light dark;font:15px/1.5 system-ui,sans-serif;background:light-dark(#f7f7f5,#131316);color:light-dark(#1d1d1b,#ececee)}
main{max-width:26rem;margin:12vh auto;padding:0 1rem}h1{font-size:1.25rem}p,span{color:light-dark(#6d6c66,#a3a3ab)}
ul{list-style:none;padding:0;display:grid;gap:8px}a{display:flex;justify-content:space-between;gap:1rem;padding:12px 16px;border:1px solid light-dark(#e4e3de,#2e2e34);border-radius:8px;background:light-dark(#fff,#1a1a1e);color:inherit;text-decoration:none}
a:hover,a:focus-visible{border-color:light-dark(#2f5bea,#8aa5ff)}
input,button{font:inherit;padding:8px 12px;margin:8px 8px 0 0}
`

function page(res: ServerResponse, path: string, people: Map<string, IssuerPerson>) {
  const choices = [...people.values()].map(
    (p) =>
      `<li><a href="${asText(path)}?person=${encodeURIComponent(p.subject)}"><b>${asText(p.name)}</b><span>${asText(p.about ?? p.groups.join(', '))}</span></a></li>`,
  )
  res.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' }).end(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Sign in</title>
<style>${style}</style><main><h1>Who are you?</h1><p>The sample world's identity provider. It asks for no password.</p><ul>${choices.join('')}</ul></main></html>`)
}

/** A page of the device flow (RFC 8628, section 3.3). `form` is the provider's own, `button` submits it. */
function devicePage(title: string, words: string, form = '', id = '', button = ''): string {
  const submit = button && `<button type="submit" form="${id}">${asText(button)}</button>`
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${asText(title)}</title>
<style>${style}</style><main><h1>${asText(title)}</h1><p>${asText(words)}</p>${form}${submit}</main></html>`
}
