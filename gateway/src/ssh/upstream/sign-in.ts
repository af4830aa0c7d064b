import { createPrivateKey } from 'node:crypto'
import type { AnyAuthMethod, AuthHandlerMiddleware } from 'ssh2'
import type { SshTarget } from '../target.ts'
import { utils } from '../transport/ssh2.ts'
import { HostError } from './host.ts'
import { publicWords } from './said.ts'

/**
 * The ways to sign in at a target, in the order of their trying, each once. RFC 4252; RFC 4256 for servers that ask for
 * the password by keyboard-interactive.
 * @returns gives a handler for one connection
 * @throws HostError where the key can't be used
 */
export function signInWays({ user: username, privateKey, password }: SshTarget): () => AuthHandlerMiddleware {
  const ways: AnyAuthMethod[] = []
  if (privateKey !== undefined) {
    const text = ofOldFormat(privateKey)
    const parsed = utils.parseKey(text)
    const key = Array.isArray(parsed) ? parsed[0] : parsed
    if (!key || key instanceof Error || !key.isPrivateKey())
      throw new HostError(
        `the private key of this connection can’t be used (${key instanceof Error ? publicWords(key.message) : 'it is none'})`,
      )
    ways.push({ type: 'publickey', username, key: text })
  }
  if (password !== undefined) {
    ways.push({ type: 'password', username, password })
    ways.push({
      type: 'keyboard-interactive',
      username,
      // The password is the answer to one hidden question; to anything else there is none.
      prompt: (_name, _instructions, _language, prompts, answer) =>
        answer(prompts.map(({ echo }) => (prompts.length === 1 && echo === false ? password : ''))),
    })
  }
  return () => {
    const left = [...ways]
    return (offered) => {
      // What the host doesn't offer isn't tried; `offered` is null before anything was.
      for (let way = left.shift(); way; way = left.shift())
        if (!offered || (offered as string[]).includes(way.type)) return way
      return false as never
    }
  }
}

/** ssh2 reads no PKCS #8 (RFC 5958), which is what openssl writes; keys in it are RSA or EC here. */
function ofOldFormat(privateKey: string): string {
  if (!privateKey.includes('-----BEGIN PRIVATE KEY-----')) return privateKey
  try {
    const key = createPrivateKey(privateKey)
    const type = ({ rsa: 'pkcs1', ec: 'sec1' } as const)[key.asymmetricKeyType as 'rsa' | 'ec']
    return type === undefined ? privateKey : (key.export({ type, format: 'pem' }) as string)
  } catch {
    return privateKey
  }
}
