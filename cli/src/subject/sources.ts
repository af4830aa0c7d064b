import { existsSync, readFileSync } from 'node:fs'
import { misuse, notSignedIn, refused } from '../errors.ts'
import { shown } from '../terminal/text.ts'

/** Short names of token types; RFC 8693, section 3, has their URNs. */
export const tokenTypes = ['jwt', 'access_token', 'id_token', 'saml2'] as const
export type TokenType = (typeof tokenTypes)[number]

/** What says who the agent is: a token of its issuer's. */
export interface SubjectToken {
  text: string
  type: TokenType
  /** Where it is from, for words. */
  from: string
}

export interface SubjectOptions {
  subjectTokenFile?: string | undefined
  subjectTokenType?: TokenType | undefined
}

/** Where a kubelet puts a projected token whose audience is the gateway (docs/connecting-agents.md). */
const projected = '/var/run/secrets/countersign/token'
const largest = 256 * 1024

/** Whether something here says who an agent is. */
export function hasSubject(options: SubjectOptions, env: NodeJS.ProcessEnv): boolean {
  return sourceOf(options, env) !== undefined
}

/**
 * The agent's own token, from the first of these that is there: --subject-token-file, COUNTERSIGN_SUBJECT_TOKEN_FILE,
 * COUNTERSIGN_SUBJECT_TOKEN, client credentials, GitHub Actions, Kubernetes. It is got anew at each call: they are
 * short-lived, and files are rotated.
 * @throws CliError where there is none, or its source refuses
 */
export async function subjectToken(options: SubjectOptions, env: NodeJS.ProcessEnv): Promise<SubjectToken> {
  const source = sourceOf(options, env)
  if (!source)
    throw notSignedIn(
      'nothing says which agent this is: give --subject-token-file FILE, COUNTERSIGN_SUBJECT_TOKEN_FILE, or COUNTERSIGN_ISSUER with COUNTERSIGN_CLIENT_ID and COUNTERSIGN_CLIENT_SECRET_FILE',
    )
  const text = await source.read()
  if (text === '') throw notSignedIn(`${source.from} is empty: it must hold the agent's token`)
  return { text, type: options.subjectTokenType ?? typeOf(text), from: source.from }
}

/** The token of whoever acts for the subject (RFC 8693, section 2.1), where there is one. */
export function actorToken(file: string | undefined, env: NodeJS.ProcessEnv): SubjectToken | undefined {
  const path = file ?? env.COUNTERSIGN_ACTOR_TOKEN_FILE
  const text = path ? fromFile(path) : env.COUNTERSIGN_ACTOR_TOKEN?.trim()
  return text ? { text, type: typeOf(text), from: path ?? 'COUNTERSIGN_ACTOR_TOKEN' } : undefined
}

/** Environment variables that hold secrets of the agent's. What we start doesn't get them. */
export const secretVariables = [
  'COUNTERSIGN_SUBJECT_TOKEN',
  'COUNTERSIGN_ACTOR_TOKEN',
  'COUNTERSIGN_CLIENT_SECRET',
  'ACTIONS_ID_TOKEN_REQUEST_TOKEN',
]

interface Source {
  from: string
  read(): string | Promise<string>
}

function sourceOf(options: SubjectOptions, env: NodeJS.ProcessEnv): Source | undefined {
  const file = options.subjectTokenFile ?? env.COUNTERSIGN_SUBJECT_TOKEN_FILE
  if (file) return { from: file === '-' ? 'standard input' : file, read: () => fromFile(file) }
  const text = env.COUNTERSIGN_SUBJECT_TOKEN
  if (text) return { from: 'COUNTERSIGN_SUBJECT_TOKEN', read: () => text.trim() }
  if (env.COUNTERSIGN_CLIENT_ID)
    return {
      from: 'the client credentials',
      read: async () => (await import('./client-credentials.ts')).byClientCredentials(env),
    }
  if (env.ACTIONS_ID_TOKEN_REQUEST_URL)
    return { from: 'GitHub Actions', read: async () => (await import('./github.ts')).fromGitHub(env) }
  if (existsSync(projected)) return { from: projected, read: () => fromFile(projected) }
  return undefined
}

/** What a file says, - being standard input. @throws CliError */
export function fromFile(path: string): string {
  try {
    const text = readFileSync(path === '-' ? 0 : path, 'utf8')
    if (text.length > largest) throw misuse(`${shown(path)} is too large to be a token`)
    return text.trim()
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') throw misuse(`there is no file ${shown(path)}: check the path`)
    if (code === 'EACCES') throw refused(`this user may not read ${shown(path)}`)
    if (code === 'EISDIR') throw misuse(`${shown(path)} is a folder: name the file`)
    throw error instanceof Error && code === undefined ? error : refused(`${shown(path)} can't be read: ${message}`)
  }
}

/** Three parts of base64url are a JWT; XML, or XML in base64url, is a SAML assertion; the rest only its issuer knows. */
function typeOf(text: string): TokenType {
  if (/^[\w-]+\.[\w-]+\.[\w-]*$/.test(text)) return 'jwt'
  if (
    text.startsWith('<') ||
    Buffer.from(text.slice(0, 400), 'base64url').toString('latin1').trimStart().startsWith('<')
  )
    return 'saml2'
  return 'access_token'
}
