/**
 * A browser's part of a sign-in: redirects, cookies by path, the choice of a person, and forms that only need to be sent.
 * @throws Error with the page's text when the sign-in fails
 */
export async function completeLogin(start: string, subject: string): Promise<string> {
  const jar = new Map<string, { value: string; path: string }>()
  let target = new URL(start)
  const home = target.origin
  let form: URLSearchParams | undefined
  for (let hop = 0; hop < 16; hop++) {
    const cookie = [...jar]
      .filter(([, c]) => target.origin === home && target.pathname.startsWith(c.path))
      .map(([name, c]) => `${name}=${c.value}`)
      .join('; ')
    const sent = form ? { method: 'POST', body: form } : {}
    const answer = await fetch(target, { redirect: 'manual', headers: cookie ? { cookie } : {}, ...sent })
    form = undefined
    for (const line of answer.headers.getSetCookie()) {
      const [pair, ...attributes] = line.split(';').map((part) => part.trim())
      const [name, ...value] = pair!.split('=')
      const path = attributes.find((a) => a.toLowerCase().startsWith('path='))?.slice(5) ?? '/'
      jar.set(name!, { value: value.join('='), path })
    }
    const location = answer.headers.get('location')
    if (location) {
      target = new URL(location, target)
      continue
    }
    const text = await answer.text()
    if (target.origin === home && target.pathname.startsWith('/sign-in/') && !target.searchParams.has('person')) {
      target.searchParams.set('person', subject)
      continue
    }
    const [, action] = /<form[^>]* action="([^"]+)"/.exec(text) ?? []
    const hidden = [...text.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)"/g)]
    if (action && hidden.length > 1) {
      form = new URLSearchParams(hidden.map(([, name, value]) => [name!, value!]))
      target = new URL(action, target)
      continue
    }
    if (!answer.ok) throw new Error(`sign-in as ${subject} failed at ${target.pathname}: ${answer.status} ${text}`)
    return text
  }
  throw new Error(`sign-in as ${subject} goes in circles`)
}
