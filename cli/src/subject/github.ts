import { misuse, notSignedIn, refused } from '../errors.ts'
import { isLoopback, unreachable } from '../gateway/request.ts'

/**
 * The OIDC token of a GitHub Actions job with `permissions: id-token: write`: the runner says where to ask, and by what
 * token. Its audience is COUNTERSIGN_AUDIENCE, `countersign` where nothing is said.
 */
export async function fromGitHub(env: NodeJS.ProcessEnv): Promise<string> {
  const { ACTIONS_ID_TOKEN_REQUEST_URL: address = '', ACTIONS_ID_TOKEN_REQUEST_TOKEN: token } = env
  if (!token) throw notSignedIn('GitHub Actions gave no token to ask by: the job needs permissions: id-token: write')
  if (!URL.canParse(address)) throw misuse('ACTIONS_ID_TOKEN_REQUEST_URL is no address')
  const url = new URL(address)
  if (url.protocol !== 'https:' && !isLoopback(url.hostname))
    throw misuse('ACTIONS_ID_TOKEN_REQUEST_URL is not https://')
  url.searchParams.set('audience', env.COUNTERSIGN_AUDIENCE || 'countersign')
  let answer: Response
  try {
    answer = await fetch(url, {
      headers: { authorization: `Bearer ${token}`, accept: 'application/json' },
      redirect: 'error',
      signal: AbortSignal.timeout(15_000),
    })
  } catch (error) {
    throw unreachable(url, error as Error)
  }
  if (!answer.ok)
    throw refused(`GitHub gives this job no token (${answer.status}): it needs permissions: id-token: write`)
  const body = (await answer.json().catch(() => undefined)) as { value?: unknown } | undefined
  if (typeof body?.value !== 'string') throw refused(`${url.host} gave no token`)
  return body.value
}
