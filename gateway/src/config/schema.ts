import type { JWK } from 'jose'
import { z } from 'zod'
import { detectedKinds } from '../masking/detectors.ts'
import { waitOf } from '../policy/escalation.ts'

const waitWords = 'a duration is a number and s, m, h or d, 7d at most, for example 3m'
const durationWords = 'a duration is a number and ms, s, m, h or d, for example 10m'

/** `500ms`, `30s`, `10m`, `8h` or `90d`, as milliseconds. */
export const Duration = z
  .string({ error: (issue) => (issue.input === undefined ? undefined : durationWords) })
  .regex(/^\d{1,9}(ms|s|m|h|d)$/, durationWords)
  .transform((text) => {
    const [, number, unit] = /^(\d+)(ms|s|m|h|d)$/.exec(text)!
    return Number(number) * { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }[unit as 'ms']
  })

/** A duration between two others. Timers take 24 days at most, and a hold that nobody looks at for a week is forgotten. */
function bounded(least: string, most: string) {
  const [from, to] = [Duration.parse(least), Duration.parse(most)]
  return Duration.refine((ms) => ms >= from && ms <= to, `must be between ${least} and ${most}`)
}

/** A duration that stays as it is written, since people are shown it. */
const Wait = z
  .string({ error: (issue) => (issue.input === undefined ? undefined : waitWords) })
  .refine((after) => waitOf({ after }) <= Duration.parse('7d'), waitWords)

/** `512KiB`, `1MiB`, `2GiB` or a plain number of bytes, as bytes. */
export const Size = z
  .union([z.number().int().nonnegative(), z.string()], {
    error: 'a size is a number and B, KiB, MiB or GiB, for example 1MiB',
  })
  .refine((v) => typeof v === 'number' || /^\d{1,9}(B|KiB|MiB|GiB)$/.test(v), {
    error: 'a size is a number and B, KiB, MiB or GiB, for example 1MiB',
  })
  .transform((v) => {
    if (typeof v === 'number') return v
    const [, number, unit] = /^(\d+)(B|KiB|MiB|GiB)$/.exec(v)!
    return Number(number) * { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 }[unit as 'B']
  })

/** A secret is never inline: the name of an environment variable or the path of a file. */
export const SecretRef = z.union(
  [z.strictObject({ env: z.string().min(1) }), z.strictObject({ file: z.string().min(1) })],
  { error: 'a secret is never inline: write { env: NAME } or { file: PATH }' },
)
export type SecretRef = z.infer<typeof SecretRef>

export const ListenAddress = z
  .string()
  .regex(/^(\[[0-9a-fA-F:]+\]|[^:\s[\]/]+):\d{1,5}$/, {
    error: 'an address is HOST:PORT, for example 127.0.0.1:7440',
    abort: true,
  })
  .refine((text) => Number(text.slice(text.lastIndexOf(':') + 1)) <= 65_535, 'a port is at most 65535')

export const ConnectionName = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9-]{0,62}$/,
    'a connection name is lower-case letters, digits and hyphens, and starts with no hyphen',
  )

const text = z.string().min(1, 'must not be empty')

/** A data class: the id of a DataClass in policy; it stands in placeholders and hashes as well. */
export const DataClassName = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9_-]{0,62}$/, 'a class is a word of letters, digits, _ and -, for example email')

/** YAML reads a bare `null` as no value: here it is the name of a style. */
const Style = z.preprocess((given) => (given === null ? 'null' : given), z.enum(['redact', 'partial', 'hash', 'null']))
const styles = z.record(DataClassName, Style)
const detect = z.array(z.enum(detectedKinds))

/** How values are masked, for all connections or for one, where what is given goes before what is given for all. */
export const MaskingOfConnection = z.strictObject({
  style: Style.optional(),
  classes: styles.default({}),
  detect: detect.optional(),
})

/** How long something is kept after a session has ended: a duration, or `forever`, which is Infinity. */
const Keep = z
  .union([z.literal('forever'), Duration], {
    error: 'write a duration such as 90d (a number and m, h or d), or forever',
  })
  .transform((kept) => (kept === 'forever' ? Number.POSITIVE_INFINITY : kept))
  .refine((ms) => ms >= 60_000 && (ms <= 36_500 * 86_400_000 || ms === Number.POSITIVE_INFINITY), {
    error: 'must be between 1m and 36500d, or forever',
  })

/** What is kept how long, for all connections or for one, where what is given goes before what is given for all. */
export const RetentionOfConnection = z.strictObject({
  recordings: Keep.optional(),
  approvals: Keep.optional(),
  annotations: Keep.optional(),
  entries: Keep.optional(),
  /** At most so long, where commands or results of a session touched the class. */
  classes: z.record(DataClassName, Keep).default({}),
})

const common = {
  tags: z.array(text).default([]),
  access: z.enum(['standing', 'jit']).default('standing'),
  mode: z.enum(['enforce', 'observe']).default('enforce'),
  data_classes: z.record(z.string(), DataClassName).default({}),
  masking: MaskingOfConnection.prefault({}),
  retention: RetentionOfConnection.prefault({}),
}

/** How the connection to the target is protected, in libpq's words. Absent: disable on loopback, verify-full elsewhere. */
export const UpstreamTls = z.strictObject({
  mode: z.enum(['disable', 'require', 'verify-ca', 'verify-full']),
  /** PEM file of the authorities to trust; absent: those that Node trusts. */
  ca: text.optional(),
})

export const PostgresConnection = z.strictObject({
  kind: z.literal('postgres'),
  host: text,
  port: z.number().int().min(1).max(65_535).default(5432),
  database: text,
  user: text,
  password: SecretRef.optional(),
  tls: UpstreamTls.optional(),
  ...common,
})
export const SshConnection = z.strictObject({
  kind: z.literal('ssh'),
  host: text,
  port: z.number().int().min(1).max(65_535).default(22),
  user: text,
  private_key: SecretRef.optional(),
  password: SecretRef.optional(),
  /** Fingerprints (`SHA256:…`) or public keys of the host, as ssh-keygen prints them: any other host is refused. */
  host_key: z.union([text, z.array(text).min(1).max(20)], {
    error: 'write the fingerprint of the host that ssh-keygen -lf prints (SHA256:…), or a list of them',
  }),
  /** Environment variables that pass beside LANG and LC_*; a name may end in `*`. */
  env: z
    .array(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*\*?$/, 'a variable is letters, digits and _, and may end in *'))
    .default([]),
  ...common,
})
export const KubernetesConnection = z.strictObject({
  kind: z.literal('kubernetes'),
  server: z.url(),
  ca: z.string().optional(),
  token: SecretRef.optional(),
  ...common,
})
const headers = z.record(z.string(), SecretRef).default({})
export const McpConnection = z.strictObject({ kind: z.literal('mcp'), url: z.url(), headers, ...common })
export const HttpConnection = z.strictObject({ kind: z.literal('http'), url: z.url(), headers, ...common })

export const Connection = z.discriminatedUnion('kind', [
  PostgresConnection,
  SshConnection,
  KubernetesConnection,
  McpConnection,
  HttpConnection,
])

/** A claim by its name, or the way to one within others by dots: `realm_access.roles`. */
const ClaimName = text.max(200, 'a claim has a name of at most 200 characters')
const OneOrMore = z
  .union([text, z.array(text).min(1)], { error: 'write a text, or a list of texts' })
  .transform((given) => (typeof given === 'string' ? [given] : given))
const FileOrUrl = z.union([z.strictObject({ file: text }), z.strictObject({ url: z.url() })], {
  error: 'write { file: PATH } or { url: "https://…" }',
})

/** Somebody whose word is taken for who is calling (docs/access.md). */
export const Issuer = z.strictObject({
  /** As `iss` in its tokens; the entity id of a SAML identity provider. */
  issuer: z.url(),
  for: z.enum(['people', 'agents', 'both']),
  /** What its tokens must be for: one of these. */
  audience: z.union([text, z.array(text).min(1)], {
    error: 'write the audience, or a list of those that are accepted',
  }),
  /** Claim that names the one who calls; absent: `sub`. */
  subject: ClaimName.optional(),
  /** Claim that lists groups. */
  groups: ClaimName.default('groups'),
  /** Claims that become groups as `claim=value`. */
  groups_from: z.array(ClaimName).optional(),
  /** Claims that must be there with (one of) these values. */
  require: z.record(ClaimName, OneOrMore).optional(),
  /** Clients (`azp`, `client_id`) whose tokens are accepted without a fitting audience. */
  authorized_party: OneOrMore.optional(),
  /** Whether what is visibly an ID token is accepted as a credential. */
  id_tokens: z.boolean().optional(),
  /** URL of the metadata where it is another than the issuer's own well-known one. */
  discovery: z.url().optional(),
  /** Keys from a file or a URL: then no metadata is asked for. */
  jwks: FileOrUrl.optional(),
  /** PEM file of the authorities that its certificate must come from; absent: those that Node trusts. */
  ca: text.optional(),
  /** Whether it is in a private network: its names may lead to private addresses. */
  network: z.enum(['public', 'private']).optional(),
  /** Opaque tokens, asked about (RFC 7662). */
  introspection: z
    .strictObject({
      url: z.url(),
      client_id: text,
      client_secret: SecretRef,
      auth: z.enum(['basic', 'post']).default('basic'),
      /** Which tokens: those that are no JWT, or all of this issuer. */
      tokens: z.enum(['opaque', 'all']).default('opaque'),
      /** What its opaque tokens begin with, where there are several such issuers. */
      prefix: text.optional(),
    })
    .optional(),
  /** A SAML 2 identity provider: its assertions are exchanged for gateway tokens. */
  saml: z
    .strictObject({
      metadata: FileOrUrl,
      /** URL that a bearer's subject confirmation must name; absent: that is not looked at. */
      recipient: text.optional(),
      name: text.optional(),
      email: text.optional(),
    })
    .optional(),
  /** What `GET /v1/sign-in` tells a console; only of use for people's issuers. */
  client_id: z.string().optional(),
  scopes: z.array(z.string()).default(['openid', 'profile', 'offline_access']),
  resource: z.string().optional(),
})

const listener = z.strictObject({ listen: ListenAddress })

/** gateway.yaml (contract.md section 2). Unknown keys are errors. */
export const GatewayConfig = z.strictObject({
  data: text.default('./countersign-data'),
  store: z
    .union([z.literal('sqlite'), z.strictObject({ postgres: SecretRef })], {
      error: 'must be sqlite or { postgres: { env: NAME } }',
    })
    .default('sqlite'),
  recordings: z
    .union([z.literal('file'), z.strictObject({ s3: z.record(z.string(), z.unknown()) })], {
      error: 'must be file or { s3: { endpoint, bucket, … } }',
    })
    .default('file'),
  api: z.strictObject({ listen: ListenAddress, url: z.url().optional() }),
  postgres: listener.optional(),
  ssh: z
    .strictObject({
      listen: ListenAddress,
      /** For how long after an agent's newest token its public keys let it in. */
      token_within: bounded('1m', '90d').prefault('24h'),
    })
    .optional(),
  http: listener.optional(),
  tls: z.strictObject({ cert: text, key: text }).optional(),
  identity: z.strictObject({
    issuers: z.array(Issuer).min(1),
    roles: z
      .strictObject({
        approver: z.array(text).default([]),
        reviewer: z.array(text).default([]),
        auditor: z.array(text).default([]),
        admin: z.array(text).default([]),
      })
      .prefault({}),
    /** Whether an agent's owner, by its token or the registry, counts as its sponsor where the registry has none. */
    sponsor_from: z.enum(['registry', 'owner']).default('registry'),
    /** Who has not been seen for so long is taken to have left. */
    left_after: bounded('1m', '3650d').prefault('90d'),
    /** Gateway tokens: how long they live where nobody asks for another time, and the longest that may be asked for. */
    tokens: z
      .strictObject({
        lifetime: bounded('1s', '24h').prefault('15m'),
        max_lifetime: bounded('1s', '24h').prefault('1h'),
      })
      .prefault({}),
  }),
  connections: z.record(ConnectionName, Connection).default({}),
  policy: text.default('./policy'),
  masking: z
    .strictObject({ style: Style.default('redact'), classes: styles.default({}), detect: detect.default([]) })
    .prefault({}),
  approvals: z
    .strictObject({
      expires: bounded('1s', '7d').prefault('10m'),
      use_within: bounded('1s', '7d').prefault('10m'),
      max_window: bounded('0s', '90d').prefault('8h'),
      hold: z.enum(['wait', 'fail']).default('wait'),
      in_transaction: z.enum(['wait', 'fail']).default('fail'),
      /** Who is asked, too, once nobody has answered for so long, where a policy doesn't say so itself. */
      escalate: z.array(z.strictObject({ after: Wait, groups: z.array(text).min(1) })).default([]),
      /** Who may approve alone in an emergency; absent: nobody. */
      break_glass: z
        .strictObject({
          groups: z.array(text).min(1),
          max: bounded('1m', '1d').prefault('1h'),
          unreviewed: z.number().int().min(1).max(100).default(3),
        })
        .optional(),
      webhooks: z.array(z.url()).max(20).default([]),
      /** What of a command webhooks are told: its text, or only that there is one. */
      webhook_content: z.enum(['name', 'command']).default('name'),
    })
    .prefault({}),
  grants: z
    .strictObject({
      max_duration: bounded('1s', '365d').prefault('8h'),
      /** Grants of one agent that are live or asked for at a time; more are refused. */
      per_agent: z.number().int().positive().default(50),
    })
    .prefault({}),
  retention: RetentionOfConnection.extend({ recordings: Keep.prefault('90d') }).prefault({}),
  limits: z
    .strictObject({
      max_statement: Size.prefault('1MiB'),
      max_message: Size.prefault('64MiB'),
      sessions_per_agent: z.number().int().positive().default(50),
      /** Commands that wait for people, or for their agent after they were approved; more are refused. */
      held_per_agent: z.number().int().positive().default(100),
      held: z.number().int().positive().default(5000),
      drain: bounded('0s', '1h').prefault('30s'),
      /** Result rows kept in a recording, per command. */
      recorded_rows: z.number().int().nonnegative().default(1000),
      recorded_bytes: Size.prefault('1MiB'),
      /** Bytes of each stream of an SSH channel kept in a recording; the rest is counted and hashed. */
      recorded_output: Size.prefault('128MiB'),
    })
    .prefault({}),
})
export type GatewayConfig = z.infer<typeof GatewayConfig>
export type ConnectionConfig = z.infer<typeof Connection>
export type PostgresConnectionConfig = z.infer<typeof PostgresConnection>
export type SshConnectionConfig = z.infer<typeof SshConnection>
/** An issuer as it stands in the file. */
export type IssuerEntry = z.infer<typeof Issuer>
/** An issuer as it is used: what its entry refers to was read. */
export type IssuerConfig = Omit<IssuerEntry, 'jwks' | 'introspection' | 'saml'> & {
  jwks?: { keys: JWK[] } | { url: string } | undefined
  /** `ca` is PEM text. */
  introspection?:
    | (Omit<NonNullable<IssuerEntry['introspection']>, 'client_secret'> & { client_secret: string })
    | undefined
  saml?:
    | (Omit<NonNullable<IssuerEntry['saml']>, 'metadata'> & { metadata: { xml: string } | { url: string } })
    | undefined
}
