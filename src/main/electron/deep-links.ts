/** The scheme that links from chat and mail open the console with. */
export const linkScheme = 'countersign'

/**
 * The route that a deep link opens: countersign://approval/ID. Links come from anywhere, so all they can do is to show
 * something; anything else is undefined.
 */
export function routeOf(link: string): string | undefined {
  if (!URL.canParse(link)) return undefined
  const { protocol, host, pathname, search, hash } = new URL(link)
  if (protocol !== `${linkScheme}:` || search || hash) return undefined
  const [, id, ...rest] = pathname.split('/')
  if (host !== 'approval' || !id || rest.some(Boolean) || !/^[A-Za-z0-9_-]{1,128}$/.test(id)) return undefined
  return `/queue/${id}`
}

/** The route that a program's arguments ask for: Windows and Linux hand links over as one of them. */
export function routeIn(argv: readonly string[]): string | undefined {
  for (const word of argv) {
    const route = word.startsWith(`${linkScheme}:`) ? routeOf(word) : undefined
    if (route) return route
  }
  return undefined
}
